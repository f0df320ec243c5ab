//! A source as words and signs, and the paths that it names.

/// A word or a sign of a source, outside of comments, texts and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    line: usize,
    text: String,
}

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    /// From the root of the crate, or beginning with another crate's name.
    pub(super) path: Vec<String>,
}

/// A file as a module.
#[derive(Debug)]
pub(super) struct Module {
    /// Below `src/`.
    pub(super) file: String,
    /// `["kafka", "reader"]`; empty for `lib.rs`, `["main"]` for `main.rs`.
    pub(super) path: Vec<String>,
    pub(super) tokens: Vec<Token>,
}

impl Module {
    pub(super) fn new(file: &str, source: &str) -> Self {
        let stem = file.strip_suffix(".rs").unwrap();
        let mut path: Vec<String> = stem.split('/').map(str::to_owned).collect();
        if matches!(path.last().unwrap().as_str(), "mod" | "lib") {
            path.pop();
        }
        Self {
            file: file.to_owned(),
            path,
            tokens: tokens(source),
        }
    }

    pub(super) fn folder(&self) -> &str {
        self.path.first().map_or("lib", String::as_str)
    }
}

/// The words and signs of a source; comments are left out, and of texts only their place is left.
fn tokens(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let at = |place: usize| characters.get(place).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut place, mut line) = (0, 1);
    while place < characters.len() {
        let begin = place;
        let mut text = String::new();
        match at(place) {
            '/' if at(place + 1) == '/' => {
                while place < characters.len() && at(place) != '\n' {
                    place += 1;
                }
            }
            '/' if at(place + 1) == '*' => {
                let mut open = 0;
                while place < characters.len() {
                    match (at(place), at(place + 1)) {
                        ('/', '*') => (open, place) = (open + 1, place + 2),
                        ('*', '/') => (open, place) = (open - 1, place + 2),
                        _ => place += 1,
                    }
                    if open == 0 {
                        break;
                    }
                }
            }
            '"' => place = after_text(&characters, place),
            // A character, or else a lifetime.
            '\'' if at(place + 1) == '\\' || at(place + 2) == '\'' => {
                place += if at(place + 1) == '\\' { 3 } else { 2 };
                while place < characters.len() && at(place) != '\'' {
                    place += 1;
                }
                place += 1;
            }
            first if is_word(first) => {
                while is_word(at(place)) {
                    place += 1;
                }
                text = characters[begin..place].iter().collect();
                if matches!(text.as_str(), "r" | "br" | "b" | "c" | "cr")
                    && matches!(at(place), '"' | '#')
                {
                    let hashes = characters[place..]
                        .iter()
                        .take_while(|c| **c == '#')
                        .count();
                    if at(place + hashes) == '"' {
                        text.clear();
                        place = if begin + 1 == place && first != 'r' {
                            after_text(&characters, place)
                        } else {
                            after_raw_text(&characters, place + hashes + 1, hashes)
                        };
                    }
                }
            }
            ':' if at(place + 1) == ':' => (text, place) = ("::".to_owned(), place + 2),
            white if white.is_whitespace() => place += 1,
            sign => (text, place) = (sign.to_string(), place + 1),
        }
        if !text.is_empty() {
            tokens.push(Token { line, text });
        }
        line += characters[begin..place.min(characters.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    tokens
}

/// The place behind a text that begins at a quote.
fn after_text(characters: &[char], mut place: usize) -> usize {
    place += 1;
    while place < characters.len() && characters[place] != '"' {
        place += if characters[place] == '\\' { 2 } else { 1 };
    }
    place + 1
}

/// The place behind a raw text, whose inside begins here.
fn after_raw_text(characters: &[char], mut place: usize, hashes: usize) -> usize {
    while place < characters.len() {
        let follow = characters[place + 1..].iter().take(hashes);
        if characters[place] == '"' && follow.filter(|c| **c == '#').count() == hashes {
            return place + 1 + hashes;
        }
        place += 1;
    }
    place
}

fn is(tokens: &[Token], place: usize, texts: &[&str]) -> bool {
    let end = place + texts.len();
    tokens.get(place..end).is_some_and(|found| {
        found
            .iter()
            .zip(texts)
            .all(|(token, text)| token.text == *text)
    })
}

/// The place behind the bracket that closes the one at `place`.
fn after_bracket(tokens: &[Token], place: usize) -> usize {
    let mut open = 0;
    for (at, token) in tokens.iter().enumerate().skip(place) {
        match token.text.as_str() {
            "(" | "[" | "{" => open += 1,
            ")" | "]" | "}" => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Takes out what is there for tests alone. Returns the modules that stand in files of their own.
pub(super) fn without_tests(tokens: &mut Vec<Token>) -> Vec<String> {
    let mut files = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        let is_test = is(tokens, place, &["#", "[", "cfg", "(", "test", ")", "]"])
            || is(
                tokens,
                place,
                &["#", "[", "cfg", "(", "all", "(", "test", ","],
            );
        if !is_test {
            place += 1;
            continue;
        }
        let mut end = place;
        while is(tokens, end, &["#", "["]) {
            end = after_bracket(tokens, end + 1);
        }
        let item = end;
        while is(tokens, end, &["pub"]) || is(tokens, end, &["("]) {
            end = if is(tokens, end, &["("]) {
                after_bracket(tokens, end)
            } else {
                end + 1
            };
        }
        if is(tokens, end, &["mod"]) && is(tokens, end + 2, &[";"]) {
            files.push(tokens[end + 1].text.clone());
        }
        let is_use = is(tokens, end, &["use"]);
        end = item;
        while let Some(token) = tokens.get(end) {
            match token.text.as_str() {
                ";" | "," => {
                    end += 1;
                    break;
                }
                "{" if !is_use => {
                    end = after_bracket(tokens, end);
                    break;
                }
                "{" | "(" | "[" => end = after_bracket(tokens, end),
                "}" => break,
                _ => end += 1,
            }
        }
        tokens.drain(place..end);
    }
    files
}

/// Reads the tree of a `use` that begins at `place`, and returns the place behind it.
fn tree(
    tokens: &[Token],
    mut place: usize,
    before: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let line = tokens.get(place).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(place) {
        match token.text.as_str() {
            "::" => place += 1,
            "{" => {
                let end = after_bracket(tokens, place);
                place += 1;
                while place + 1 < end {
                    place = tree(tokens, place, &path, found);
                    if is(tokens, place, &[","]) {
                        place += 1;
                    }
                }
                return end;
            }
            "as" => place += 2,
            "," | ";" | "}" => break,
            "self" if !path.is_empty() => place += 1,
            word => {
                path.push(word.to_owned());
                place += 1;
            }
        }
    }
    found.push((line, path));
    place
}

/// Every path that a module names, from the root of the crate.
pub(super) fn named(module: &Module) -> Vec<Named> {
    let tokens = &module.tokens;
    let mut raw = Vec::new();
    // The modules that are written out within the file, by the depth of brackets at which they begin.
    let mut inside: Vec<(usize, String)> = Vec::new();
    let (mut depth, mut place) = (0, 0);
    while place < tokens.len() {
        let before = place.checked_sub(1).map(|at| tokens[at].text.as_str());
        match tokens[place].text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inside.last().is_some_and(|(begin, _)| *begin == depth) {
                    inside.pop();
                }
            }
            "mod" if is(tokens, place + 2, &["{"]) => {
                inside.push((depth, tokens[place + 1].text.clone()));
            }
            "use" => {
                let mut found = Vec::new();
                place = tree(tokens, place + 1, &[], &mut found);
                raw.extend(found.into_iter().map(|it| (it, inside.clone())));
                continue;
            }
            word if before != Some("::") && is(tokens, place + 1, &["::"]) => {
                let mut path = vec![word.to_owned()];
                let line = tokens[place].line;
                while is(tokens, place + 1, &["::"])
                    && tokens
                        .get(place + 2)
                        .is_some_and(|next| next.text.starts_with(|c: char| c.is_alphabetic()))
                {
                    path.push(tokens[place + 2].text.clone());
                    place += 2;
                }
                raw.push(((line, path), inside.clone()));
            }
            // `pub(in crate::kafka)` and the like are no arrows, and harmless: they name a module around this one.
            _ => {}
        }
        place += 1;
    }
    raw.into_iter()
        .map(|((line, path), inside)| {
            let mut from = module.path.clone();
            from.extend(inside.into_iter().map(|(_, name)| name));
            Named {
                line,
                path: resolved(&from, &path),
            }
        })
        .collect()
}

/// A path from the root of the crate; one of another crate begins with its name, behind `::`.
fn resolved(from: &[String], path: &[String]) -> Vec<String> {
    let mut base = from.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str) {
        // `trailtag::` is what `main.rs` calls the crate.
        Some("crate" | "trailtag") => {
            base.clear();
            rest = &path[1..];
        }
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|step| step == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => {
            base = vec!["::".to_owned()];
        }
    }
    base.extend(rest.iter().cloned());
    base
}
