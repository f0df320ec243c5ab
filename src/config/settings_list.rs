//! The list of all settings, read from the schema: for hints, and for the table in docs/configuration.md.

use serde_json::Value;

use super::cursor::Cursor;

/// One setting.
pub(super) struct Setting<'s> {
    /// Its key; an element of a list is `routes[]`.
    pub(super) key: String,
    /// What may stand there, as the schema says it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the test below writes the table")
    )]
    pub(super) at: Cursor<'s>,
}

/// Every setting, by its key; maps that hold others only as what they hold.
pub(super) fn settings(schema: &Value) -> Vec<Setting<'_>> {
    let mut settings = Vec::new();
    collect("", Cursor::new(schema), &mut settings);
    settings
}

fn collect<'s>(key: &str, at: Cursor<'s>, settings: &mut Vec<Setting<'s>>) {
    let before = settings.len();
    for name in at.names() {
        let key = if key.is_empty() {
            name.to_owned()
        } else {
            format!("{key}.{name}")
        };
        collect(&key, at.key(name), settings);
    }
    if settings.len() > before {
        return;
    }
    settings.push(Setting {
        key: key.to_owned(),
        at,
    });
    if at.is("array") && at.item().is("object") {
        collect(&format!("{key}[]"), at.item(), settings);
    }
}

/// The map that the setting of this name is in, when there is just one such setting.
pub(super) fn parent_of(schema: &Value, name: &str) -> Option<String> {
    let mut parents =
        settings(schema)
            .into_iter()
            .filter_map(|setting| match setting.key.rsplit_once('.') {
                Some((parent, last)) => (last == name).then(|| parent.to_owned()),
                None => (setting.key == name).then(String::new),
            });
    let only = parents.next()?;
    parents.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;
    use crate::config::load::variable_name;
    use crate::config::schema::schema;

    const BEGIN: &str =
        "<!-- begin of the generated table: TRAILTAG_BLESS=1 cargo test --lib config -->\n";
    const END: &str = "<!-- end of the generated table -->\n";

    /// Holds a generated file fresh, or writes it when asked to.
    fn hold(path: &str, fresh: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("TRAILTAG_BLESS").is_some() {
            std::fs::write(&path, fresh).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(
            kept == fresh,
            "{} is stale: run `TRAILTAG_BLESS=1 cargo test --lib config` and commit it",
            path.display()
        );
    }

    /// A text that fits into a cell.
    fn cell(text: &str) -> String {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|")
    }

    fn values(at: Cursor<'_>) -> String {
        let choices = at.choices();
        if choices.is_empty() {
            return match at.any_value() {
                Some(_) => "a map of text to text".to_owned(),
                None => match (at.keyword("minimum"), at.keyword("maximum")) {
                    (Some(least), None) if *least != 0 => {
                        format!("{}, {least} or more", at.expected())
                    }
                    (_, Some(most)) => format!("{}, {most} or less", at.expected()),
                    _ => at.expected(),
                },
            };
        }
        let words: Vec<String> = choices
            .iter()
            .map(|(word, meaning)| match meaning.trim_end_matches('.') {
                "" => format!("`{word}`"),
                meaning => format!("`{word}`: {}", cell(meaning)),
            })
            .collect();
        words.join("<br>")
    }

    fn table() -> String {
        let schema = schema();
        let mut table = String::from(
            "| key | meaning | may be | default | variable |\n|---|---|---|---|---|\n",
        );
        for Setting { key, at } in settings(&schema) {
            let default = match at.keyword("default") {
                _ if at.any_value().is_some() => "`{}`".to_owned(),
                // The default route is written out in config/trailtag.yaml.
                Some(Value::Array(_)) if at.item().is("object") => "one route".to_owned(),
                Some(Value::String(text)) if text.is_empty() => String::new(),
                Some(Value::String(text)) => format!("`{text}`"),
                Some(value) => format!("`{value}`"),
                None => String::new(),
            };
            let variable = if key.contains("[]") {
                String::new()
            } else if at.any_value().is_some() {
                format!("`{}__…`", variable_name(&key))
            } else {
                format!("`{}`", variable_name(&key))
            };
            writeln!(
                table,
                "| `{key}` | {} | {} | {default} | {variable} |",
                cell(at.text("description").unwrap()),
                values(at),
            )
            .unwrap();
        }
        table
    }

    #[test]
    fn the_schema_file_is_fresh() {
        hold("config/schema.json", &format!("{:#}\n", schema()));
    }

    #[test]
    fn the_table_in_the_documentation_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        hold(
            "docs/configuration.md",
            &format!("{before}{BEGIN}{}{END}{after}", table()),
        );
    }

    #[test]
    fn the_schema_describes_every_setting_and_every_choice() {
        let schema = schema();
        for Setting { key, at } in settings(&schema) {
            assert!(at.text("description").is_some(), "{key}");
            assert!(
                at.choices().iter().all(|(_, meaning)| !meaning.is_empty()),
                "{key}"
            );
        }
    }

    #[test]
    fn a_name_is_found_where_it_belongs() {
        let schema = schema();
        assert_eq!(parent_of(&schema, "group_id").as_deref(), Some("kafka"));
        assert_eq!(parent_of(&schema, "workers").as_deref(), Some(""));
        assert_eq!(
            parent_of(&schema, "min_severity").as_deref(),
            Some("routes[]")
        );
        assert_eq!(parent_of(&schema, "topic"), None, "there are several");
        assert_eq!(parent_of(&schema, "nowhere"), None);
    }
}
