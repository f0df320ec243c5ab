"""Reads queries with parsers of their languages.

usage: check_queries.py FOLDER     FOLDER is what tests/components/queries.sh installed

Standard input: a JSON list of {"language", "query"}. Prints a list of {"faults", "literals", "skeleton"}, in the same order:
what is wrong with a query, the texts that it holds, and what is left of it without them.

Who reads: sqlglot the SQL of Athena and of CloudTrail Lake (as Presto's); Elasticsearch's own grammar ES|QL; Teragrep's
parser of its Data Processing Language SPL, of which it is made; Microsoft's parser KQL (kql.js). SQL is held against the
columns of AWS's pages too. Nothing of a placeholder's is a name: <EVENT_DATA_STORE_ID> is filled in here.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(sys.argv[1])
sys.path.insert(0, str(FOLDER / "python"))

# What AWS's CREATE EXTERNAL TABLE for Athena and the schema of CloudTrail Lake share, of what investigations ask for.
COLUMNS = {
    "awsregion", "errorcode", "errormessage", "eventname", "eventsource", "eventtime", "recipientaccountid", "requestparameters",
    "responseelements", "sourceipaddress", "useragent",
}
IDENTITY = {"type", "principalid", "arn", "accountid", "invokedby", "accesskeyid", "username"}
# Types by which they are told apart: in Lake the two are maps, in Athena JSON text.
FUNCTIONS = {"athena": {"json_extract_scalar"}, "lake": {"element_at"}}


def read_sql(language, query):
    import sqlglot
    from sqlglot import exp

    try:
        dialect = {"athena": "athena", "lake": "presto"}[language]
        tree = sqlglot.parse_one(query.replace("<EVENT_DATA_STORE_ID>", "eds"), dialect=dialect)
    except sqlglot.errors.SqlglotError as error:
        return {"faults": [str(error)], "literals": [], "skeleton": ""}
    faults = []
    for column in tree.find_all(exp.Column):
        parts = [part.name.lower() for part in column.parts]
        known = parts[0] in COLUMNS and len(parts) == 1 or parts[0] == "useridentity" and len(parts) == 2 and parts[1] in IDENTITY
        if not known:
            faults.append(f"there is no column {'.'.join(parts)}")
    functions = {"json_extract_scalar": exp.JSONExtractScalar, "element_at": exp.Bracket}
    for name, kind in functions.items():
        if name not in FUNCTIONS[language] and tree.find(kind):
            faults.append(f"{name} is for another type of column")
    literals = []
    for literal in tree.find_all(exp.Literal, bfs=False):
        if literal.is_string:
            literals.append(literal.this)
            literal.replace(exp.Placeholder())
    return {"faults": faults, "literals": literals, "skeleton": tree.sql(dialect=dialect)}


def read_esql(query):
    from antlr4 import CommonTokenStream, InputStream
    from antlr4.error.ErrorListener import ErrorListener
    from esql_parser.EsqlBaseLexer import EsqlBaseLexer
    from esql_parser.EsqlBaseParser import EsqlBaseParser

    faults = []

    class Listener(ErrorListener):
        def syntaxError(self, recognizer, symbol, line, column, message, error):
            faults.append(f"{line}:{column}: {message}")

    lexer = EsqlBaseLexer(InputStream(query))
    tokens = CommonTokenStream(lexer)
    parser = EsqlBaseParser(tokens)
    for each in (lexer, parser):
        each.removeErrorListeners()
        each.addErrorListener(Listener())
    parser.singleStatement()
    literals, rest = [], []
    for token in tokens.tokens:
        if token.type == EsqlBaseLexer.QUOTED_STRING:
            literals.append(re.sub(r"\\(.)", r"\1", token.text[1:-1]))
            rest.append("?")
        elif token.channel == 0:
            rest.append(token.text)
    return {"faults": faults, "literals": literals, "skeleton": " ".join(rest)}


def read_spl(queries):
    """All at once: each start of Java takes seconds."""
    rig, grammar = "com.teragrep.pth_03.shaded.org.antlr.v4.gui.TestRig", "com.teragrep.pth_03.antlr.DPL"
    read = []
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for place, query in enumerate(queries):
            files.append(Path(folder, f"{place}.spl"))
            files[-1].write_text(query)
        command = ["java", "-cp", str(FOLDER / "dpl.jar"), rig, grammar, "root", "-tree", *map(str, files)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # With several files it prints the name of each, and then what is wrong and the tree.
        parts = re.split(rf"^{re.escape(folder)}/\d+\.spl\n", done.stdout, flags=re.M)[1:] if len(files) > 1 else [done.stdout]
    for part in parts:
        lines = [line for line in part.splitlines() if line and "ANTLR Tool version" not in line]
        trees = [line for line in lines if line.startswith("(root ")]
        text = re.compile(r'\((\w*[sS]tringType|timeType) "((?:[^"\\]|\\.)*)"\)')
        tree = trees[0] if trees else ""
        literals = [re.sub(r"\\(.)", r"\1", found[1]) for found in text.findall(tree)]
        faults = [line for line in lines if line not in trees] + ([] if trees else ["there is no tree"])
        read.append({"faults": faults, "literals": literals, "skeleton": text.sub(r"(\1 ?)", tree)})
    assert len(read) == len(queries), done.stdout
    return read


def read_kql(queries):
    script = Path(__file__).with_name("kql.js")
    done = subprocess.run(["node", str(script), str(FOLDER)], input=json.dumps(queries), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main():
    asked = json.load(sys.stdin)
    read = [None] * len(asked)
    together = {"spl": read_spl, "kql": read_kql}
    for place, each in enumerate(asked):
        if each["language"] == "esql":
            read[place] = read_esql(each["query"])
        elif each["language"] not in together:
            read[place] = read_sql(each["language"], each["query"])
    for language, reader in together.items():
        places = [place for place, each in enumerate(asked) if each["language"] == language]
        if places:
            for place, result in zip(places, reader([asked[place]["query"] for place in places])):
                read[place] = result
    json.dump(read, sys.stdout)


main()
