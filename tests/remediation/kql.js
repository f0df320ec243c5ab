// Reads KQL with Microsoft's own parser, which knows the table and its columns.
//
// usage: node kql.js FOLDER     FOLDER is what tests/components/queries.sh installed
//
// Standard input: a JSON list of queries. Prints a list of {faults, literals, skeleton}: what is wrong, the texts that the
// query holds, and the query with a ? for each.
"use strict";

const fs = require("fs");
const path = require("path");

const folder = path.join(process.argv[2], "kusto");
require(path.join(folder, "bridge.js"));
require(path.join(folder, "Kusto.Language.Bridge.js"));
/* global Kusto, System */
const { Symbols, Syntax, KustoCode, GlobalState } = Kusto.Language;

// The columns of Microsoft's page of the table (Azure Monitor, AWSCloudTrail) that investigations ask for.
const TEXTS = [
    "AdditionalEventData", "AWSRegion", "AwsEventId", "ErrorCode", "ErrorMessage", "EventName", "EventSource", "EventTypeName",
    "RecipientAccountId", "RequestParameters", "Resources", "ResponseElements", "SessionIssuerArn", "SessionIssuerUserName",
    "SessionMfaAuthenticated", "SourceIpAddress", "UserAgent", "UserIdentityAccessKeyId", "UserIdentityAccountId",
    "UserIdentityArn", "UserIdentityInvokedBy", "UserIdentityPrincipalid", "UserIdentityType", "UserIdentityUserName",
];
const schema = `(TimeGenerated: datetime, ${TEXTS.map((name) => `${name}: string`).join(", ")})`;
const table = new Symbols.TableSymbol.$ctor7("AWSCloudTrail", schema, null);
const database = new Symbols.DatabaseSymbol.$ctor1("workspace", System.Array.init([table], Symbols.Symbol), false);
const globals = GlobalState.Default.WithDatabase(database);

function read(query) {
    const code = KustoCode.ParseAndAnalyze(query, globals);
    const said = code.GetDiagnostics();
    const faults = [];
    for (let place = 0; place < said.Count; place += 1) {
        const each = said.getItem(place);
        faults.push(`${each.Message} (at ${query.slice(each.Start, each.Start + 20)})`);
    }
    const found = [];
    Syntax.SyntaxElement.WalkNodes(code.Syntax, (node) => {
        if (node.Kind === Syntax.SyntaxKind.StringLiteralExpression) {
            found.push(node);
        }
    });
    found.sort((one, other) => one.TextStart - other.TextStart);
    let skeleton = "";
    let from = 0;
    for (const node of found) {
        skeleton += `${query.slice(from, node.TextStart)}?`;
        from = node.End;
    }
    return { faults, literals: found.map((node) => node.LiteralValue), skeleton: skeleton + query.slice(from) };
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, "utf8")).map(read)));
