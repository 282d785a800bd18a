//! Every configuration in the documents is one that the checker takes.
#![allow(clippy::disallowed_methods, reason = "documents are files; the room under test stays without them")]

use std::fs;
use std::path::{Path, PathBuf};

use anabranch_config::parse;

/// A block of a document, and where it begins.
struct Block {
    line: usize,
    text: String,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = entries.filter(|path| path.extension().is_some_and(|found| found == "md"));
    let mut documents: Vec<_> = documents.chain([root.join("README.md")]).collect();
    documents.sort();
    documents
}

/// What stands between "```toml" and "```".
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in document.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```toml" => open = Some(Block { line: number + 1, text: String::new() }),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => block.text.extend([line, "\n"]),
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

#[test]
fn every_configuration_in_the_documents_is_right() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let blocks = blocks(&fs::read_to_string(&document).unwrap());
        for block in &blocks {
            // A policy without paths of its own is about those of the document's first block, as the document says.
            let alone = !block.text.contains("[[policy]]") || block.text.contains("[[path]]");
            let before = if alone { "" } else { blocks[0].text.as_str() };
            let text = format!("{before}\n{}", block.text);
            seen += 1;
            match parse(&text, Path::new(&name)) {
                Err(error) => wrong.push(format!("{name}, block at line {}:\n{error}", block.line)),
                Ok(config) => {
                    let warnings = config.warnings().into_iter();
                    wrong.extend(warnings.map(|warning| format!("{name}, block at line {}: {warning}", block.line)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(seen >= 10, "only {seen} blocks");
}

#[test]
fn the_recipes_are_among_them() {
    let policies = documents().into_iter().find(|path| path.ends_with("policies.md")).unwrap();
    let recipes = blocks(&fs::read_to_string(policies).unwrap());
    assert!(recipes.iter().filter(|block| block.text.contains("[[policy]]")).count() >= 7);
}
