//! Layers to a configuration: the defaults, the file over them, the environment over both.
//!
//! A path and the environment's variables go in; a [`Config`] that is whole and consistent comes out, or every fault
//! with the line or the variable that it stands in. It reads the files that settings name only as far as `check.rs`
//! does, and never connects anywhere.
//!
//! Each layer is compared with the schema by itself, since only then is it known whose fault a fault is. What is at
//! fault is then left out, so that what remains can still be checked and all faults are told at once.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use config::{ConfigError, Source, ValueKind};
use serde_json::Value;

use super::Config;
use super::cursor::{Cursor, Path, Step};
use super::files;
use super::nearest::nearest;
use super::paths;
use super::schema::{self, Differs, SchemaCheck};
use super::yaml::{self, Data, Name, Node};
use crate::model::fault::{Fault, Faults, Place};

/// Every variable of ours begins so. Two underscores, because Kubernetes sets `TRAILTAG_PORT` for a service of our name.
const PREFIX: &str = "TRAILTAG__";
const SEPARATOR: &str = "__";

/// A configuration that may not be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// Everything that is wrong.
    pub(crate) faults: Faults,
    #[cfg_attr(
        not(feature = "service"),
        expect(dead_code, reason = "only `check` asks")
    )]
    /// What was meant, where all that is wrong is to what its paths are relative: so that what they name can be checked.
    pub(crate) config: Option<Box<Config>>,
}

impl From<Faults> for Unusable {
    fn from(faults: Faults) -> Self {
        Self {
            faults,
            config: None,
        }
    }
}

impl Config {
    /// The configuration of a file, if there is one, and the environment's `TRAILTAG__…` variables over it.
    ///
    /// An empty variable counts as not set. Relative paths in the file are relative to its folder, those in variables to
    /// the working directory. Errs with everything that is wrong, in the file, in the variables and in what they mean
    /// together ([`Config::check`]).
    pub fn load(
        path: Option<&FilePath>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        Self::load_to_check(path, environment).map_err(|unusable| unusable.faults)
    }

    /// As [`Config::load`], with what was meant where that is known.
    pub(crate) fn load_to_check(
        path: Option<&FilePath>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Unusable> {
        let schema = SchemaCheck::new()?;
        let mut layers = Vec::new();
        let mut faults = Vec::new();
        if let Some(path) = path {
            match file(path) {
                Ok(layer) => layers.extend(layer),
                Err(wrong) => faults.extend(wrong),
            }
        }
        let mut variables: Vec<(String, String)> = environment
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
            .collect();
        // A variable for a whole map comes before those for what is in it, and so lies under them.
        variables.sort();
        for (name, text) in variables {
            match variable(&name, &text, &schema) {
                Ok(layer) => layers.push(layer),
                Err(wrong) => faults.extend(wrong),
            }
        }
        merge(path, &layers, &schema, faults)
    }
}

fn merge(
    path: Option<&FilePath>,
    layers: &[Layer],
    schema: &SchemaCheck,
    mut faults: Vec<Fault>,
) -> Result<Config, Unusable> {
    let mut places = Places::new(path);
    let mut builder = config::Config::builder().add_source(defaults()?);
    for layer in layers {
        let mut own = Places::new(path);
        own.note(layer);
        places.note(layer);
        let mut value = schema::value(&layer.node, schema.root());
        for Differs { at, fault } in schema.faults(&value, &layer.node) {
            for path in at {
                remove(&mut value, &path);
            }
            let place = own.place_of(&fault.key);
            faults.push(layer.addressed(fault.at(place)));
        }
        builder = builder.add_source(Values(value));
    }
    let merged = builder
        .build()
        .and_then(config::Config::try_deserialize::<Config>);
    let mut meant = None;
    match merged {
        Ok(mut config) => {
            let misplaced = paths::settle(&mut config, |key| places.place_of(key));
            let mut concluded = config.check();
            concluded.retain(|fault| faults.iter().all(|known| !explains(known, fault)));
            let is_otherwise_right = faults.is_empty() && concluded.is_empty();
            faults.extend(concluded.into_iter().map(|fault| {
                let place = places.place_of(&fault.key);
                fault.at(place)
            }));
            faults.extend(misplaced);
            if faults.is_empty() {
                return Ok(config);
            }
            meant = is_otherwise_right.then(|| Box::new(config));
        }
        Err(error) => faults.push(unmergeable(&error, &places)),
    }
    Err(Unusable {
        faults: Faults::in_order(faults),
        config: meant,
    })
}

/// Whether what is wrong with one setting may be all that is wrong with another.
fn explains(known: &Fault, concluded: &Fault) -> bool {
    let security = "kafka.security";
    let around = |key: &str| key.rfind('.').unwrap_or(0);
    let same_map =
        || known.key.get(..around(&known.key)) == concluded.key.get(..around(&concluded.key));
    related(&known.key, &concluded.key)
        // The name that is unknown may be the one that is missed.
        || (known.message == schema::UNKNOWN
            && concluded.message.starts_with("is empty")
            && around(&known.key) > 0
            && same_map())
        || (related(&known.key, security) && related(&concluded.key, security))
        || concluded
            .concluded_from
            .iter()
            .any(|key| related(&known.key, key))
}

/// Whether one setting is the other, or in it.
fn related(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short)
        .is_some_and(|rest| short.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What the schema lets through and the types do not: none is known, so it is told as it comes.
fn unmergeable(error: &ConfigError, places: &Places) -> Fault {
    Fault::new(
        "",
        error.to_string(),
        "`trailtag schema` prints what may be set",
    )
    .at(places.place_of(""))
}

/// The settings of one file or one variable.
pub(super) struct Layer {
    /// The whole tree, from the top.
    pub(super) node: Node,
    /// What was set in it; above that, the tree is only the way to it.
    pub(super) set: Path,
    pub(super) from: Place,
}

impl Layer {
    /// The fault with a hint that fits where it stands.
    fn addressed(&self, mut fault: Fault) -> Fault {
        if matches!(self.from, Place::Environment(_)) && fault.hint == "remove the quotes" {
            "write digits alone".clone_into(&mut fault.hint);
        }
        fault
    }
}

fn file(path: &FilePath) -> Result<Option<Layer>, Faults> {
    let place = |line| Place::File {
        path: path.into(),
        line,
    };
    let text = files::text(path, yaml::MAX_BYTES).map_err(|error| {
        let fault = Fault::new(
            "",
            format!("cannot be read: {error}"),
            "name a YAML file that this user may read",
        );
        Faults::from(fault.at(place(None)))
    })?;
    let node = yaml::parse(text.trim_start_matches('\u{feff}')).map_err(|malformed| {
        let told = |error: &yaml::Malformed| {
            Fault::new("", error.to_string(), hint(error)).at(place(error.line()))
        };
        Faults::in_order(malformed.iter().map(told).collect())
    })?;
    Ok(node.filter(|node| !node.is_nothing()).map(|node| Layer {
        node,
        set: Path::default(),
        from: place(None),
    }))
}

const fn hint(error: &yaml::Malformed) -> &'static str {
    match error {
        yaml::Malformed::Syntax { .. } => "look at the indentation, quotes and brackets before it",
        yaml::Malformed::SecondDocument { .. } => "leave one",
        yaml::Malformed::Key { .. } => "write `key: value`",
        yaml::Malformed::Twice { .. } => "remove one of the two",
        yaml::Malformed::Separator { .. } => "remove it",
        yaml::Malformed::Circle { .. } | yaml::Malformed::Repeats { .. } => {
            "write the values where they belong"
        }
        yaml::Malformed::Deep { .. } | yaml::Malformed::Brackets { .. } => {
            "no setting is nested as deep: look at the brackets"
        }
        yaml::Malformed::Large { .. }
        | yaml::Malformed::Marks { .. }
        | yaml::Malformed::Many { .. } => {
            "keep what is long in files of its own, such as detection.rules and threat_networks_files"
        }
    }
}

/// The layer of `TRAILTAG__KAFKA__GROUP_ID=blue`.
fn variable(name: &str, text: &str, schema: &SchemaCheck) -> Result<Layer, Faults> {
    let from = Place::Environment(name.to_owned());
    let mut set = Path::default();
    let mut at = schema.root();
    let mut rest = name.strip_prefix(PREFIX);
    while let Some(keys) = rest {
        let (segment, further) = match keys.split_once(SEPARATOR) {
            // The name of a librdkafka property is all that is left. It has dots, which most shells do not let into
            // a variable's name.
            _ if at.any_value().is_some() => (keys.to_lowercase().replace('_', "."), None),
            Some((segment, further)) => (segment.to_lowercase(), Some(further)),
            None => (keys.to_lowercase(), None),
        };
        let next = at.key(&segment);
        if next.is_unknown() {
            return Err(unknown_variable(&set, at, &segment, schema).at(from).into());
        }
        set = set.key(&segment);
        at = next;
        rest = further;
    }
    let leaf = leaf(text, at).map_err(|malformed| {
        let what = malformed
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        Fault::new(
            set.to_string(),
            what,
            "write it in YAML's short form: `[{name: a, topic: b}]`",
        )
        .at(from.clone())
    })?;
    let node = set.0.iter().rev().fold(leaf, |node, step| match step {
        Step::Key(text) => Node {
            line: 0,
            data: Data::Map(vec![(
                Name {
                    text: text.clone(),
                    line: 0,
                },
                node,
            )]),
        },
        Step::Index(_) => node,
    });
    Ok(Layer { node, set, from })
}

fn unknown_variable(path: &Path, at: Cursor<'_>, segment: &str, schema: &SchemaCheck) -> Fault {
    let mut fault = schema.unknown(path, segment);
    if at.is("array") {
        "set the whole list, in YAML's short form: `[{name: a, topic: b}]`"
            .clone_into(&mut fault.hint);
    } else if let Some(nearest) = nearest(segment, at.names()) {
        let name = variable_name(&path.key(nearest).to_string());
        fault.hint = format!("did you mean {name}?");
    }
    fault
}

/// The variable of a setting.
pub(super) fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_uppercase())
}

/// What a variable's text means where it is set: a list of words has commas, other lists and maps are YAML.
fn leaf(text: &str, at: Cursor<'_>) -> Result<Node, Vec<yaml::Malformed>> {
    let scalar = |text: &str, plain| Node {
        line: 0,
        data: Data::Scalar {
            text: text.to_owned(),
            plain,
        },
    };
    let words = at.is("array") && !at.item().is("object") && !text.trim_start().starts_with('[');
    if words {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        return Ok(Node {
            line: 0,
            data: Data::List(words.map(|word| scalar(word, false)).collect()),
        });
    }
    if at.is("array") || at.is("object") {
        return Ok(yaml::parse(text)?.unwrap_or_else(|| scalar(text, false)));
    }
    // Text is taken as it is: a group may be called `null`.
    Ok(scalar(text, !at.is("string")))
}

/// Where each setting was set last.
pub(super) struct Places<'p> {
    file: Option<&'p FilePath>,
    pub(super) set: BTreeMap<String, Place>,
}

impl<'p> Places<'p> {
    pub(super) const fn new(file: Option<&'p FilePath>) -> Self {
        Self {
            file,
            set: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, layer: &Layer) {
        self.descend(&Path::default(), &layer.node, 0, layer);
    }

    fn descend(&mut self, path: &Path, node: &Node, line: usize, layer: &Layer) {
        if path.0.len() >= layer.set.0.len() && !path.0.is_empty() {
            let key = path.to_string();
            // A list replaces the list below it.
            let elements = format!("{key}[");
            let known = self.set.range(elements.clone()..).map(|(known, _)| known);
            let replaced: Vec<String> = known
                .take_while(|known| known.starts_with(&elements))
                .cloned()
                .collect();
            for key in replaced {
                self.set.remove(&key);
            }
            let place = match &layer.from {
                Place::File { path, .. } => Place::File {
                    path: path.clone(),
                    line: Some(line),
                },
                other => other.clone(),
            };
            self.set.insert(key, place);
        }
        match &node.data {
            Data::Scalar { .. } => {}
            Data::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.descend(&path.with(Step::Index(index)), node, node.line, layer);
                }
            }
            Data::Map(entries) => {
                for (name, node) in entries {
                    self.descend(&path.key(&name.text), node, name.line, layer);
                }
            }
        }
    }

    /// The place of a setting; of what is around it, when it was not set itself.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.set.get(key) {
                return place.clone();
            }
            match key.rfind(['.', '[']).and_then(|end| key.get(..end)) {
                Some(around) => key = around,
                None => break,
            }
        }
        self.file.map_or(Place::Default, |path| Place::File {
            path: path.into(),
            line: None,
        })
    }
}

/// Takes a value out; an element of a list takes the list with it, or those behind it would change places.
fn remove(value: &mut Value, path: &Path) {
    let last_key = path.0.iter().rposition(|step| matches!(step, Step::Key(_)));
    let Some((above, last)) = last_key.and_then(|end| Some((path.0.get(..end)?, path.0.get(end)?)))
    else {
        *value = Value::Object(serde_json::Map::new());
        return;
    };
    let parent = above.iter().try_fold(value, |value, step| match step {
        Step::Key(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(index),
    });
    if let (Some(Value::Object(parent)), Step::Key(name)) = (parent, last) {
        parent.remove(name);
    }
}

fn defaults() -> Result<Values, Faults> {
    let values = serde_json::to_value(Config::default()).map_err(|error| {
        Fault::new(
            "",
            format!("the defaults are broken: {error}"),
            "report this as a bug",
        )
    })?;
    Ok(Values(values))
}

/// One layer's values, as the `config` crate takes them. Its own readers do not serve here: they lose the lines, the
/// digits of a number that is a name, and the dots in the name of a librdkafka property.
#[derive(Clone)]
struct Values(Value);

/// Says nothing of the values: one may be a password.
impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").finish_non_exhaustive()
    }
}

impl Source for Values {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, ConfigError> {
        match &self.0 {
            Value::Object(entries) => Ok(entries
                .iter()
                .map(|(key, value)| (key.clone(), convert(value)))
                .collect()),
            _ => Ok(config::Map::new()),
        }
    }
}

fn convert(value: &Value) -> config::Value {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(truth) => ValueKind::Boolean(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => ValueKind::I64(number),
            (None, Some(number)) => ValueKind::U64(number),
            (None, None) => ValueKind::String(number.to_string()),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(values) => ValueKind::Array(values.iter().map(convert).collect()),
        Value::Object(entries) => ValueKind::Table(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), convert(value)))
                .collect(),
        ),
    };
    config::Value::new(None, kind)
}
