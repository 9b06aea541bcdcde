//! The input: one job a line, all checked before the first is sent.

use std::{collections::HashMap, fmt, fs, path::Path};

use serde::Deserialize;

/// One prompt to be answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) prompt: String,
    pub(crate) system: Option<String>,
    pub(crate) max_tokens: Option<u64>,
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

/// Reads all jobs of the file at `path`. Empty lines are skipped.
pub(crate) fn read(path: &Path) -> Result<Vec<Job>, Faults> {
    let name = path.display();
    let bytes =
        fs::read(path).map_err(|error| Faults(vec![format!("{name}: cannot be read: {error}")]))?;
    parse(&name.to_string(), &bytes)
}

/// Reads all jobs of `bytes`; `name` goes before each fault.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Job>, Faults> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut jobs = Vec::new();
    let mut faults = Vec::new();
    let mut first_seen = HashMap::new();
    for (line, number) in bytes.split(|&b| b == b'\n').zip(1_u64..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match job(line) {
            Ok(job) => match first_seen.get(&job.id) {
                Some(first) => faults.push(format!(
                    "{name}:{number}: the id {:?} is that of line {first} too; \
                     give each line an id of its own",
                    job.id
                )),
                None => {
                    first_seen.insert(job.id.clone(), number);
                    jobs.push(job);
                }
            },
            Err(what) => faults.push(format!("{name}:{number}: {what}")),
        }
    }
    if jobs.is_empty() && faults.is_empty() {
        faults.push(format!(
            "{name}: it has no lines; put in one JSON object a line, such as {SAMPLE}"
        ));
    }
    if faults.is_empty() {
        Ok(jobs)
    } else {
        Err(Faults(faults))
    }
}

const SAMPLE: &str = r#"{"id": "1", "prompt": "Hello"}"#;

fn job(line: &[u8]) -> Result<Job, String> {
    let text = std::str::from_utf8(line)
        .map_err(|_| "it is not UTF-8; save the file in that encoding".to_owned())?;
    if !text.trim_start().starts_with('{') {
        return Err(format!(
            "not a JSON object; a line is one, such as {SAMPLE}"
        ));
    }
    let job: Job = serde_json::from_str(text).map_err(|error| {
        // Its "at line 1" is that of this one line, not of the file.
        let what = error.to_string();
        let what = what
            .split_once(" at line ")
            .map_or(&*what, |(what, _)| what);
        if error.is_data() {
            format!(
                "{what}; a line needs `id` and `prompt` (strings), and may have `system` \
                 (a string) and `max_tokens` (a number)"
            )
        } else {
            format!(
                "not JSON: {what}, near column {}; a line is one object, such as {SAMPLE}",
                error.column()
            )
        }
    })?;
    if job.id.is_empty() {
        return Err("`id` is empty; give the line an id of its own".to_owned());
    }
    if job.prompt.trim().is_empty() {
        return Err("`prompt` is empty; the API refuses that".to_owned());
    }
    if job.max_tokens == Some(0) {
        return Err("`max_tokens` is 0; leave it out, or ask for at least 1".to_owned());
    }
    Ok(job)
}
