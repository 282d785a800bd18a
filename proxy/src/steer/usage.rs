//! Where quotas survive a restart: a small database, written once a second in one transaction.
//!
//! What lives here: rows and transactions. What does not: what is counted (`throttle::usage`). Invariant: a database that
//! cannot be read is never begun anew in silence: counting goes on in memory, and that is said.

use std::path::{Path, PathBuf};

use anabranch_throttle::usage::{Changes, Payload, Saved, Store, Usage};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::http::chain;

/// Bytes by account; keys and values are JSON, which says what it means years later.
const ACCOUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("accounts");

/// How far each subflow has been counted: download and upload.
const MARKS: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("marks");

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub(super) enum LedgerError {
    /// It cannot be opened, or is damaged.
    #[error("{} cannot be used; move it away to begin anew, or name another file (steering.usage)", .path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<redb::Error>,
    },
    /// A row means nothing.
    #[error("{} has a row that means nothing: {row}", .path.display())]
    Row {
        /// Its file.
        path: PathBuf,
        /// The row.
        row: String,
    },
}

/// The file in which usage is kept, if it is kept in one.
#[derive(Debug)]
pub(super) struct Ledger {
    file: Option<File>,
    /// Why it is not kept although it should be.
    pub(super) why: Option<String>,
    /// A failure to write has been said.
    said: bool,
}

impl Ledger {
    /// Opens the file and restores what is in it.
    pub(super) fn open(path: Option<&Path>, usage: &mut Usage) -> Self {
        let opened = path.map(|path| -> Result<_, LedgerError> {
            let mut file = File::open(path)?;
            usage.restore(file.load()?);
            Ok(file)
        });
        let (file, why) = match opened.transpose() {
            Ok(file) => (file, None),
            Err(error) => {
                let why = format!("usage is counted from zero and will be forgotten: {}", chain(&error));
                tracing::error!("{why}");
                (None, Some(why))
            }
        };
        Self { file, why, said: false }
    }

    /// Writes what has changed, all of it or nothing.
    pub(super) fn keep(&mut self, usage: &mut Usage) {
        let changes = usage.take_changes();
        let Some(file) = self.file.as_mut().filter(|_| !changes.is_empty()) else { return };
        match file.save(&changes) {
            Ok(()) => self.said = false,
            Err(error) => {
                if !self.said {
                    tracing::error!(why = %chain(&error), "usage cannot be written; it is tried again");
                }
                self.said = true;
                usage.give_back(changes);
            }
        }
    }
}

/// The database.
#[derive(Debug)]
struct File {
    path: PathBuf,
    database: Database,
}

impl File {
    fn open(path: &Path) -> Result<Self, LedgerError> {
        let fail = |source: redb::Error| LedgerError::Database { path: path.to_owned(), source: Box::new(source) };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| fail(redb::Error::Io(error)))?;
        }
        let database = Database::create(path).map_err(|error| fail(error.into()))?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn fail(&self, source: redb::Error) -> LedgerError {
        LedgerError::Database { path: self.path.clone(), source: Box::new(source) }
    }

    fn read<T: DeserializeOwned>(&self, row: &str) -> Result<T, LedgerError> {
        let meaningless = |_| LedgerError::Row { path: self.path.clone(), row: row.to_owned() };
        serde_json::from_str(row).map_err(meaningless)
    }
}

impl Store for File {
    type Error = LedgerError;

    fn load(&mut self) -> Result<Saved, LedgerError> {
        let (accounts, marks) = rows(&self.database).map_err(|error| self.fail(error))?;
        let account = |(row, bytes): &(String, u64)| Ok((self.read(row)?, *bytes));
        let mark = |(row, (download, upload)): &(String, (u64, u64))| {
            Ok((self.read(row)?, Payload { download: *download, upload: *upload }))
        };
        let accounts = accounts.iter().map(account).collect::<Result<_, _>>()?;
        Ok(Saved { accounts, marks: marks.iter().map(mark).collect::<Result<_, _>>()? })
    }

    fn save(&mut self, changes: &Changes) -> Result<(), LedgerError> {
        write(&self.database, changes).map_err(|error| self.fail(error))
    }
}

/// Accounts and marks as they stand in the database.
type Rows = (Vec<(String, u64)>, Vec<(String, (u64, u64))>);

fn rows(database: &Database) -> Result<Rows, redb::Error> {
    // Made here, so that a new file is one that can be read.
    let writing = database.begin_write()?;
    drop((writing.open_table(ACCOUNTS)?, writing.open_table(MARKS)?));
    writing.commit()?;
    let reading = database.begin_read()?;
    let mut rows = Rows::default();
    for row in reading.open_table(ACCOUNTS)?.iter()? {
        let (key, value) = row?;
        rows.0.push((key.value().to_owned(), value.value()));
    }
    for row in reading.open_table(MARKS)?.iter()? {
        let (key, value) = row?;
        rows.1.push((key.value().to_owned(), value.value()));
    }
    Ok(rows)
}

fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut accounts = writing.open_table(ACCOUNTS)?;
        for (account, bytes) in &changes.accounts {
            accounts.insert(text(account).as_str(), bytes)?;
        }
        for account in &changes.closed {
            accounts.remove(text(account).as_str())?;
        }
        let mut marks = writing.open_table(MARKS)?;
        for (subflow, payload) in &changes.marks {
            marks.insert(text(subflow).as_str(), (payload.download, payload.upload))?;
        }
        for subflow in &changes.gone {
            marks.remove(text(subflow).as_str())?;
        }
    }
    writing.commit()?;
    Ok(())
}

/// A key of the database.
fn text(key: &impl Serialize) -> String {
    // Structs of numbers and words: there is nothing that JSON could not say.
    serde_json::to_string(key).unwrap_or_default()
}

#[cfg(test)]
mod tests;
