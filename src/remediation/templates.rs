//! The steps' templates: how they are filled, and what is tried when they are loaded.

use std::collections::BTreeSet;

use minijinja::value::Value as Filled;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use super::{quote, values};
use crate::detection::fault::one_line;

/// Where in an item a template stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Console,
    Cli,
    Boto3,
    Notes,
}

impl Part {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Cli => "cli",
            Self::Boto3 => "boto3",
            Self::Notes => "notes",
        }
    }

    /// The filter through which every value must go there.
    fn filter_of(template: &str) -> Option<&'static str> {
        match template.split('\n').next() {
            Some("cli") => Some("sh"),
            Some("boto3") => Some("py"),
            _ => None,
        }
    }
}

/// Templates with two filters, no functions, and no way to leave a value unquoted where it would be run.
pub(super) fn environment() -> Environment<'static> {
    let mut templates = Environment::empty();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.add_filter("sh", |text: &str| {
        quote::shell(text)
            .map(Filled::from_safe_string)
            .ok_or_else(|| {
                minijinja::Error::new(
                    ErrorKind::InvalidOperation,
                    "a NUL byte cannot be part of a shell word",
                )
            })
    });
    templates.add_filter("py", |text: &str| {
        Filled::from_safe_string(quote::python(text))
    });
    templates.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        if let Some(filter) = Part::filter_of(state.name())
            && !value.is_safe()
        {
            return Err(minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("a value must go through `| {filter}` here"),
            ));
        }
        minijinja::escape_formatter(out, state, value)
    });
    templates
}

/// Renders a template with a value in every field; the fields that it uses, or what is wrong with it.
pub(super) fn try_out(
    templates: &Environment<'_>,
    name: &str,
    part: Part,
) -> Result<BTreeSet<&'static str>, String> {
    let template = templates
        .get_template(name)
        .map_err(|error| describe(&error))?;
    let mut used = BTreeSet::new();
    for variable in template.undeclared_variables(false) {
        let known = values::NAMES.iter().find(|known| **known == variable);
        used.insert(*known.ok_or_else(|| {
            format!(
                "there is no value `{variable}`; there are {}",
                values::NAMES.join(", ")
            )
        })?);
    }
    template
        .render(values::sample())
        .map_err(|error| describe(&error))?;
    if part == Part::Cli {
        // A value that a shell would take apart shows whether the template's own quotes undo those of the filter.
        let line = template
            .render(values::probe())
            .map_err(|error| describe(&error))?;
        let words = shlex::split(&line).unwrap_or_default();
        let holds = |name: &&str| {
            let probe = values::probe_of(name);
            words.iter().any(|word| word.contains(&probe))
        };
        if let Some(name) = used.iter().find(|name| !holds(name)) {
            return Err(format!(
                "`{name}` does not arrive whole: keep `{{{{ {name} | sh }}}}` outside quotes of the step's own"
            ));
        }
    }
    Ok(used)
}

pub(super) fn describe(error: &minijinja::Error) -> String {
    error.detail().map_or_else(
        || error.kind().to_string(),
        |detail| format!("{}: {}", error.kind(), one_line(detail)),
    )
}
