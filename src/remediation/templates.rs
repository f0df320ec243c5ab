//! The steps' templates: how they are filled, and what is tried when they are loaded.
//!
//! minijinja is the language, and says what a template means. It is asked once, when a template is loaded: what needs no
//! value is kept as text, and what only puts values in place is cut into [`Piece`]s, which are held against minijinja's
//! own result. What does more (a conditional, say) is rendered by minijinja for each record.

use std::borrow::Cow;

use minijinja::value::Value as Filled;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior};

use super::query::Language;
use super::values::{self, Quoting, Values};
use crate::model::visible::one_line;

/// Where in an item a template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemField {
    Console,
    Cli,
    Boto3,
    Query(Language),
    Notes,
    Why,
}

impl ItemField {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Cli => "cli",
            Self::Boto3 => "boto3",
            Self::Query(language) => language.as_str(),
            Self::Notes => "notes",
            Self::Why => "why",
        }
    }

    /// The ways of which every value there must be quoted in one, the usual one first; none where people read it.
    const fn quotings(self) -> &'static [Quoting] {
        match self {
            Self::Console | Self::Notes | Self::Why => &[],
            Self::Cli => &[Quoting::Shell],
            Self::Boto3 => &[Quoting::Python],
            Self::Query(Language::Athena) => &[Quoting::Sql],
            Self::Query(Language::Lake) => &[Quoting::Sql, Quoting::SqlTime],
            Self::Query(Language::Spl) => &[Quoting::Spl, Quoting::SplTime],
            Self::Query(Language::Esql) => &[Quoting::Esql],
            Self::Query(Language::Kql) => &[Quoting::Kql],
        }
    }

    /// The ways in which values must be quoted in a template of this name.
    fn quotings_of(template: &str) -> &'static [Quoting] {
        let part = template.split('\n').next().unwrap_or_default();
        [Self::Cli, Self::Boto3]
            .into_iter()
            .chain(Language::ALL.map(Self::Query))
            .find(|field| field.as_str() == part)
            .map_or(&[], Self::quotings)
    }
}

/// The most instructions that one template takes for one record: loops within loops end.
const FUEL: u64 = 2_000;

/// Templates with a filter for each way of quoting, no functions, and no way to leave a value unquoted where it would be
/// run, or to quote it as another language does.
pub(super) fn environment() -> Environment<'static> {
    let mut templates = Environment::empty();
    templates.set_fuel(Some(FUEL));
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for quoting in Quoting::ALL {
        templates.add_filter(
            quoting.filter(),
            move |state: &State<'_, '_>, text: &str| {
                let wanted = ItemField::quotings_of(state.name());
                if !wanted.is_empty() && !wanted.contains(&quoting) {
                    return Err(must_go_through(wanted));
                }
                quoting
                    .apply(text)
                    .map(|quoted| Filled::from_safe_string(quoted.into_owned()))
                    .ok_or_else(|| invalid(unquotable(quoting)))
            },
        );
    }
    templates.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        let wanted = ItemField::quotings_of(state.name());
        if !wanted.is_empty() && !value.is_safe() {
            return Err(must_go_through(wanted));
        }
        minijinja::escape_formatter(out, state, value)
    });
    templates
}

fn invalid(problem: impl Into<Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, problem)
}

fn must_go_through(wanted: &[Quoting]) -> minijinja::Error {
    let filters: Vec<String> = wanted
        .iter()
        .map(|quoting| format!("`| {}`", quoting.filter()))
        .collect();
    invalid(format!(
        "a value must go through {} here",
        filters.join(" or ")
    ))
}

/// Why a text cannot be quoted in this way.
const fn unquotable(quoting: Quoting) -> &'static str {
    match quoting {
        Quoting::Shell => "a NUL byte cannot be part of a shell word",
        Quoting::Spl | Quoting::SplTime => {
            "SPL has no way to write a `*`, a backtick, or a character that is not printable ASCII"
        }
        _ => "a character that is not printable ASCII cannot be part of a query",
    }
}

/// A part of a template that is ready to be written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Value { place: usize, quoting: Quoting },
}

#[derive(Debug, PartialEq, Eq)]
enum Body {
    /// The same for every record: one text.
    Text(Piece),
    /// Texts and values in turn.
    Pieces(Vec<Piece>),
    /// Whatever minijinja makes of it.
    Template,
}

/// A template that was tried.
#[derive(Debug)]
pub(super) struct Step {
    /// Its name among the templates.
    name: String,
    body: Body,
}

impl Step {
    /// Adds a template under a name; what it is ready as, and the values that it uses, or what is wrong with it.
    pub(super) fn load(
        templates: &mut Environment<'static>,
        part: ItemField,
        name: &str,
        source: &str,
    ) -> Result<(Self, Vec<usize>), String> {
        let name = format!("{}\n{name}", part.as_str());
        templates
            .add_template_owned(name.clone(), source.to_owned())
            .map_err(|error| describe(&error))?;
        let uses = try_out(templates, &name, part)?;
        let mut step = Self {
            name,
            body: Body::Template,
        };
        let render = |values: &Values<'_>| step.render(templates, values);
        let (sample, probe) = (Values::sample(), Values::probe());
        let (first, second) = (render(&sample)?, render(&probe)?);
        step.body = match cut(source) {
            _ if uses.is_empty() && first == second => Body::Text(Piece::Text(first)),
            Some(pieces)
                if join(&pieces, &sample).as_ref() == Some(&first)
                    && join(&pieces, &probe).as_ref() == Some(&second) =>
            {
                Body::Pieces(pieces)
            }
            _ => Body::Template,
        };
        Ok((step, uses))
    }

    /// The step for one record's values, or why there is none.
    pub(super) fn fill(
        &self,
        templates: &Environment<'_>,
        values: &Values<'_>,
    ) -> Result<Cow<'_, str>, String> {
        let joined = match &self.body {
            Body::Text(Piece::Text(text)) => return Ok(Cow::Borrowed(text)),
            Body::Pieces(pieces) => join(pieces, values),
            Body::Text(_) | Body::Template => None,
        };
        joined
            .map_or_else(|| self.render(templates, values), Ok)
            .map(Cow::Owned)
    }

    /// What the step is made of; none where only minijinja can say.
    pub(super) fn pieces(&self) -> Option<&[Piece]> {
        match &self.body {
            Body::Text(text) => Some(std::slice::from_ref(text)),
            Body::Pieces(pieces) => Some(pieces),
            Body::Template => None,
        }
    }

    fn render(&self, templates: &Environment<'_>, values: &Values<'_>) -> Result<String, String> {
        templates
            .get_template(&self.name)
            .and_then(|template| template.render(values.context()))
            .map_err(|error| describe(&error))
    }
}

/// Cuts a template at its values; none where it holds anything but `{{ name }}` and `{{ name | filter }}`.
fn cut(source: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    loop {
        let (text, after) = match rest.split_once("{{") {
            Some((text, after)) => (text, Some(after)),
            None => (rest, None),
        };
        if text.contains("{%") || text.contains("{#") {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let Some(after) = after else {
            return Some(pieces);
        };
        let (expression, after) = after.split_once("}}")?;
        let (name, quoting) = match expression.split_once('|') {
            None => (expression, Quoting::Plain),
            Some((name, filter)) => {
                let mut all = Quoting::ALL.into_iter();
                let quoting = all.find(|quoting| quoting.filter() == filter.trim())?;
                (name, quoting)
            }
        };
        let place = values::place(name.trim())?;
        pieces.push(Piece::Value { place, quoting });
        rest = after;
    }
}

/// Puts the values in; none where one cannot be quoted as it must be.
fn join(pieces: &[Piece], values: &Values<'_>) -> Option<String> {
    let mut length = 0;
    for piece in pieces {
        length += match piece {
            Piece::Text(text) => text.len(),
            Piece::Value { place, quoting } => values.length(*place, *quoting)?,
        };
    }
    let mut joined = String::with_capacity(length);
    for piece in pieces {
        match piece {
            Piece::Text(text) => joined.push_str(text),
            Piece::Value { place, quoting } => values.append(*place, *quoting, &mut joined)?,
        }
    }
    Some(joined)
}

/// Renders a template with a value in every field; the places of those that it uses, or what is wrong with it.
fn try_out(templates: &Environment<'_>, name: &str, part: ItemField) -> Result<Vec<usize>, String> {
    let template = templates
        .get_template(name)
        .map_err(|error| describe(&error))?;
    let mut used = Vec::new();
    for variable in template.undeclared_variables(false) {
        used.push(values::place(&variable).ok_or_else(|| {
            format!(
                "there is no value `{variable}`; there are {}",
                values::NAMES.join(", ")
            )
        })?);
    }
    used.sort_unstable();
    template
        .render(Values::sample().context())
        .map_err(|error| describe(&error))?;
    let name_of = |place: &usize| values::NAMES.get(*place).copied();
    if let ItemField::Query(language) = part {
        let query = |values: Values<'_>| {
            let query = template.render(values.context());
            query.map_err(|error| describe(&error))
        };
        if language.literals(&query(Values::sample())?).is_none() {
            return Err("a quote or a comment in it has no end".to_owned());
        }
        let query = query(Values::probe())?;
        let literals = language.literals(&query).unwrap_or_default();
        for name in used.iter().filter_map(name_of) {
            let probe = values::probe_of(name);
            let arrived = literals.iter().filter(|text| **text == probe).count();
            // Wherever a value is put in, its probe's first word is.
            if arrived != query.matches(&format!("<{name}>")).count() {
                let filter = part
                    .quotings()
                    .first()
                    .map_or("", |quoting| quoting.filter());
                return Err(format!(
                    "`{name}` does not arrive whole: keep `{{{{ {name} | {filter} }}}}` outside quotes and comments of the query's own"
                ));
            }
        }
    }
    if part == ItemField::Cli {
        // A value that a shell would take apart shows whether the template's own quotes undo those of the filter.
        let line = template
            .render(Values::probe().context())
            .map_err(|error| describe(&error))?;
        let words = shlex::split(&line).unwrap_or_default();
        for name in used.iter().filter_map(name_of) {
            let probe = values::probe_of(name);
            if !words.iter().any(|word| word.contains(&probe)) {
                return Err(format!(
                    "`{name}` does not arrive whole: keep `{{{{ {name} | sh }}}}` outside quotes of the step's own"
                ));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(part: ItemField, source: &str) -> (Environment<'static>, Step) {
        let mut templates = environment();
        let (step, _) = Step::load(&mut templates, part, "step", source).unwrap();
        (templates, step)
    }

    #[test]
    fn a_step_is_made_ready_as_far_as_it_can_be() {
        let value = |name, quoting| Piece::Value {
            place: values::place(name).unwrap(),
            quoting,
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        for (part, source, want) in [
            (
                ItemField::Cli,
                "aws sts",
                Body::Text(Piece::Text("aws sts".to_owned())),
            ),
            // minijinja drops one line end at the end.
            (
                ItemField::Notes,
                "a\n",
                Body::Text(Piece::Text("a".to_owned())),
            ),
            (
                ItemField::Notes,
                "{# no #}a{{ 1 }}",
                Body::Text(Piece::Text("a1".to_owned())),
            ),
            (
                ItemField::Cli,
                "aws {{ role | sh }}-{{user|sh}}.",
                Body::Pieces(vec![
                    text("aws "),
                    value("role", Quoting::Shell),
                    text("-"),
                    value("user", Quoting::Shell),
                    text("."),
                ]),
            ),
            (
                ItemField::Boto3,
                "{{ role | py }}",
                Body::Pieces(vec![value("role", Quoting::Python)]),
            ),
            (
                ItemField::Console,
                "of {{ role }}",
                Body::Pieces(vec![text("of "), value("role", Quoting::Plain)]),
            ),
            (
                ItemField::Query(Language::Lake),
                "{{ role | sql }} {{ event_time | sql_time }}",
                Body::Pieces(vec![
                    value("role", Quoting::Sql),
                    text(" "),
                    value("event_time", Quoting::SqlTime),
                ]),
            ),
            (ItemField::Notes, "of {{ role }}\n", Body::Template),
            (ItemField::Notes, "of {{- role }}", Body::Template),
            (
                ItemField::Notes,
                "{% if user == role %}a{% endif %}{{ role }}",
                Body::Template,
            ),
        ] {
            assert_eq!(load(part, source).1.body, want, "{source:?}");
        }
    }

    fn pieces() -> impl Strategy<Value = (ItemField, String)> {
        let piece = prop_oneof![
            "[ -~]{0,12}".prop_filter("no syntax", |text| !text.contains(['{', '}', '#', '%'])),
            (0..values::NAMES.len()).prop_map(|place| format!("<{place}>")),
            Just("\n".to_owned()),
            Just("{%- if role %}x{% endif -%}".to_owned()),
            Just("{{- role }}".to_owned()),
            Just("{".to_owned()),
            Just("}".to_owned()),
        ];
        let part = prop_oneof![
            Just(ItemField::Notes),
            Just(ItemField::Boto3),
            Just(ItemField::Why),
            proptest::sample::select(&Language::ALL).prop_map(ItemField::Query),
        ];
        (part, proptest::collection::vec(piece, 0..6)).prop_map(|(part, pieces)| {
            let quoting = part.quotings().last();
            let filter =
                quoting.map_or_else(String::new, |quoting| format!(" | {}", quoting.filter()));
            let mut source = pieces.concat();
            for (place, name) in values::NAMES.iter().enumerate() {
                source =
                    source.replace(&format!("<{place}>"), &format!("{{{{ {name}{filter} }}}}"));
            }
            (part, source)
        })
    }

    proptest! {
        /// What is cut into pieces, and what is kept as text, is what minijinja says, whatever the values are.
        #[test]
        fn a_ready_step_says_what_minijinja_says(
            (part, source) in pieces(),
            texts in proptest::collection::vec(any::<String>(), values::NAMES.len()),
        ) {
            let mut templates = environment();
            let Ok((step, _)) = Step::load(&mut templates, part, "step", &source) else {
                return Ok(());
            };
            let values = Values::from_texts(|name| texts[values::place(name).unwrap()].clone());
            let filled = step.fill(&templates, &values).map(Cow::into_owned);
            prop_assert_eq!(filled, step.render(&templates, &values));
        }

        #[test]
        fn a_ready_command_says_what_minijinja_says(
            texts in proptest::collection::vec(any::<String>(), values::NAMES.len()),
        ) {
            let (templates, step) = load(ItemField::Cli, "aws {{ role | sh }} --x={{ user|sh }}{{ account | sh }}");
            prop_assert!(matches!(step.body, Body::Pieces(_)));
            let values = Values::from_texts(|name| texts[values::place(name).unwrap()].clone());
            let filled = step.fill(&templates, &values).map(Cow::into_owned);
            prop_assert_eq!(&filled, &step.render(&templates, &values));
            let used = ["role", "user", "account"].map(|name| &texts[values::place(name).unwrap()]);
            prop_assert_eq!(filled.is_err(), used.iter().any(|text| text.contains('\0')));
        }
    }
}
