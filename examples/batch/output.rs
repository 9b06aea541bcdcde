//! The output: one answer a line, in the order of completion, each written
//! whole and at once, so that whatever ends the run no answer is lost.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sendwhen::Usage;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    pub(crate) id: &'a str,
    pub(crate) text: &'a str,
    /// Who answered.
    pub(crate) model: &'a str,
    pub(crate) usage: Tokens,
    pub(crate) attempts: u32,
}

/// What an answer took, in the API's own names.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    pub(crate) input_tokens: u64,
    pub(crate) cache_creation_input_tokens: u64,
    pub(crate) cache_read_input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self::new(tokens.input_tokens, tokens.output_tokens).cache(
            tokens.cache_creation_input_tokens,
            tokens.cache_read_input_tokens,
        )
    }
}

/// What becomes of answers that the file has already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Existing {
    /// They stay, and their prompts are not sent again.
    Keep,
    /// They must not be there.
    Refuse,
    /// They are those of a demonstration.
    Overwrite,
}

/// An open output.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    /// `None` after a failure: nothing may follow half a line.
    file: Mutex<Option<File>>,
}

impl Output {
    /// Opens the file at `path`, and says which prompts it has answers to.
    pub(crate) fn open(path: &Path, existing: Existing) -> Result<(Self, HashSet<String>), String> {
        let name = path.display();
        let failed = |error: io::Error| {
            format!("{name}: cannot be used as output: {error}; name another --output")
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(existing == Existing::Overwrite)
            .open(path)
            .map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(format!(
                "{name}: it is no ordinary file, and what it holds cannot be read; name another --output"
            ));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        if existing == Existing::Refuse && !bytes.is_empty() {
            return Err(format!(
                "{name}: there are answers in it; go on with --resume, or name another --output"
            ));
        }
        let (done, sound) = answered(&bytes).map_err(|line| {
            format!("{name}:{line}: this is not an answer of this program; name another --output")
        })?;
        if sound < bytes.len() {
            file.set_len(u64::try_from(sound).unwrap_or(0))
                .map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let output = Self {
            path: path.to_owned(),
            file: Mutex::new(Some(file)),
        };
        Ok((output, done))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub(crate) fn write(&self, record: &Record<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = held.as_mut() else {
            return Err(io::Error::other("an earlier line could not be written"));
        };
        let written = file.write_all(&line);
        if written.is_err() {
            *held = None;
        }
        written
    }
}

/// The ids that `bytes` has answers to, and how many bytes of it are sound: a
/// last line that a crash tore is not. Where another line is no answer, its
/// number.
fn answered(bytes: &[u8]) -> Result<(HashSet<String>, usize), usize> {
    #[derive(Deserialize)]
    struct Answer {
        id: String,
        #[serde(rename = "text")]
        _text: String,
    }
    let mut done = HashSet::new();
    let mut sound = 0_usize;
    for (line, number) in bytes.split_inclusive(|&b| b == b'\n').zip(1_usize..) {
        if !line.ends_with(b"\n") && is_torn(line) {
            break;
        }
        let answer: Answer = serde_json::from_slice(line).map_err(|_| number)?;
        done.insert(answer.id);
        sound = sound.saturating_add(line.len());
    }
    Ok((done, sound))
}

/// Whether a last line without an end began as an answer does. Another
/// program's file is not to be cut off.
fn is_torn(line: &[u8]) -> bool {
    const BEGIN: &[u8] = b"{\"id\":";
    line.starts_with(BEGIN) || BEGIN.starts_with(line)
}
