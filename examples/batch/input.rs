//! The input: one prompt a line, all checked before the first is sent.

use std::{collections::HashMap, fmt, fs, path::Path};

use serde::Deserialize;

/// One prompt to be answered.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Prompt {
    pub(crate) id: String,
    #[serde(rename = "prompt")]
    pub(crate) text: String,
    pub(crate) system: Option<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) tenant: Option<String>,
    pub(crate) priority: Option<Priority>,
}

/// How urgent a prompt says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
    Urgent,
}

impl From<Priority> for sendwhen::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

/// What is wrong in an input, as `file:line: what, and what to do`.
#[derive(Debug)]
pub(crate) struct Faults(Vec<String>);

/// More faults than this are only counted.
const SHOWN: usize = 10;

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.0.iter().take(SHOWN) {
            writeln!(f, "{fault}")?;
        }
        let hidden = self.0.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "and {hidden} more")?;
        }
        f.write_str("nothing was sent")
    }
}

/// Reads all prompts of the file at `path`. Empty lines are skipped.
pub(crate) fn read(path: &Path) -> Result<Vec<Prompt>, Faults> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| {
        Faults(vec![format!(
            "{name}: cannot be read: {error}; --input names a file of JSON lines"
        )])
    })?;
    parse(&name.to_string(), &bytes)
}

/// Reads all prompts of `bytes`; `name` goes before each fault.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Prompt>, Faults> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut prompts = Vec::new();
    let mut faults = Vec::new();
    let mut first_seen = HashMap::new();
    for (line, number) in bytes.split(|&b| b == b'\n').zip(1_u64..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match prompt(line) {
            Ok(prompt) => match first_seen.get(&prompt.id) {
                Some(first) => faults.push(format!(
                    "{name}:{number}: the id {:?} is that of line {first} too; \
                     give each line an id of its own",
                    prompt.id
                )),
                None => {
                    first_seen.insert(prompt.id.clone(), number);
                    prompts.push(prompt);
                }
            },
            Err(what) => faults.push(format!("{name}:{number}: {what}")),
        }
    }
    if prompts.is_empty() && faults.is_empty() {
        faults.push(format!(
            "{name}: it has no lines; put in one JSON object a line, such as {SAMPLE}"
        ));
    }
    if faults.is_empty() {
        Ok(prompts)
    } else {
        Err(Faults(faults))
    }
}

const SAMPLE: &str = r#"{"id": "1", "prompt": "Hello"}"#;

fn prompt(line: &[u8]) -> Result<Prompt, String> {
    let text = std::str::from_utf8(line)
        .map_err(|_| "it is not UTF-8; save the file in that encoding".to_owned())?;
    if !text.trim_start().starts_with('{') {
        return Err(format!(
            "not a JSON object; a line is one, such as {SAMPLE}"
        ));
    }
    let prompt: Prompt = serde_json::from_str(text).map_err(|error| {
        // Its "at line 1" is that of this one line, not of the file.
        let what = error.to_string();
        let what = what
            .split_once(" at line ")
            .map_or(&*what, |(what, _)| what);
        if error.is_data() {
            format!(
                "{what}; a line needs `id` and `prompt` (strings), and may have `system` and \
                 `tenant` (strings), `max_tokens` (a number) and `priority` (low, normal, high \
                 or urgent)"
            )
        } else {
            format!(
                "not JSON: {what}, near column {}; a line is one object, such as {SAMPLE}",
                error.column()
            )
        }
    })?;
    if prompt.id.is_empty() {
        return Err("`id` is empty; give the line an id of its own".to_owned());
    }
    if prompt.text.trim().is_empty() {
        return Err("`prompt` is empty; the API refuses that".to_owned());
    }
    if prompt.max_tokens == Some(0) {
        return Err("`max_tokens` is 0; leave it out, or ask for at least 1".to_owned());
    }
    Ok(prompt)
}
