//! The cases that the neighbours' users brought up. They lie beside the repository, not in it: a clone alone has none.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::path::Path;

use serde_json::Value;

/// Where they lie.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cases");

/// One input, and what is right for it.
pub(crate) struct Case {
    /// Its file in [`FOLDER`].
    pub(crate) file: String,
    /// How `trailtag` is called for it.
    pub(crate) arguments: Vec<String>,
    /// What comes out.
    pub(crate) expect: Value,
    /// What members of the document are.
    pub(crate) fields: Value,
}

impl Case {
    /// What stands behind an option of the call.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let place = self
            .arguments
            .iter()
            .position(|argument| argument == name)?;
        self.arguments.get(place + 1).map(String::as_str)
    }

    /// The input.
    pub(crate) fn payload(&self) -> Vec<u8> {
        std::fs::read(Path::new(FOLDER).join(&self.file)).unwrap()
    }
}

/// All of them; none where they are not at hand.
pub(crate) fn all() -> Option<Vec<Case>> {
    let manifest = std::fs::read(Path::new(FOLDER).join("manifest.json")).ok()?;
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = manifest.into_iter().map(|case| Case {
        file: text(&case["file"]),
        arguments: case["args"].as_array().unwrap().iter().map(text).collect(),
        expect: case["expect"].clone(),
        fields: case["fields"].clone(),
    });
    Some(cases.collect())
}
