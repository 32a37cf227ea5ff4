//! The rules that the tree shares with ZooKeeper.

use super::*;

fn create(path: &str, kind: Kind) -> Operation {
    Operation::Create { path: path.to_owned(), bytes: path.as_bytes().to_vec(), kind }
}

fn set(path: &str, version: i32) -> Operation {
    Operation::Set { path: path.to_owned(), bytes: b"new".to_vec(), version }
}

fn refused(index: usize, reason: Reason) -> Result<Vec<String>, Refusal> {
    Err(Refusal { index, reason })
}

#[test]
fn several_operations_happen_together_or_not_at_all() {
    let mut tree = Tree::default();
    let session = tree.open();
    tree.apply(session, &[create("/a", Kind::Persistent), create("/a/b", Kind::Persistent)]).expect("done");
    let before = tree.get("/a").cloned();
    let check = Operation::Check { path: String::from("/a/b"), version: 3 };
    assert_eq!(tree.apply(session, &[set("/a", 0), check]), refused(1, Reason::Version));
    assert_eq!(tree.get("/a").cloned(), before);
}

#[test]
fn a_version_admits_one_of_two_writers() {
    let mut tree = Tree::default();
    let session = tree.open();
    tree.apply(session, &[create("/a", Kind::Persistent)]).expect("done");
    assert_eq!(tree.apply(session, &[set("/a", 0)]), Ok(vec![String::from("/a")]));
    assert_eq!(tree.apply(session, &[set("/a", 0)]), refused(0, Reason::Version));
    assert_eq!(tree.get("/a").expect("exists").stamp.version, 1);
}

#[test]
fn ephemeral_nodes_go_with_their_session() {
    let mut tree = Tree::default();
    let (mine, other) = (tree.open(), tree.open());
    tree.apply(mine, &[create("/mine", Kind::Ephemeral), create("/stays", Kind::Persistent)]).expect("done");
    tree.apply(other, &[create("/other", Kind::Ephemeral)]).expect("done");
    assert_eq!(tree.expire(mine), ["/mine"]);
    assert_eq!(tree.children("/"), ["other", "stays"]);
    assert_eq!(tree.apply(mine, &[create("/late", Kind::Persistent)]), refused(0, Reason::Session));
}

#[test]
fn sequential_names_grow_also_after_a_deletion() {
    let mut tree = Tree::default();
    let session = tree.open();
    tree.apply(session, &[create("/q", Kind::Persistent)]).expect("done");
    let first = tree.apply(session, &[create("/q/n-", Kind::EphemeralSequential)]).expect("done");
    let delete = Operation::Delete { path: first[0].clone(), version: 0 };
    tree.apply(session, &[delete]).expect("done");
    let second = tree.apply(session, &[create("/q/n-", Kind::EphemeralSequential)]).expect("done");
    assert_eq!((first[0].as_str(), second[0].as_str()), ("/q/n-0000000000", "/q/n-0000000001"));
}

#[test]
fn what_zookeeper_refuses_is_refused() {
    let mut tree = Tree::default();
    let session = tree.open();
    tree.apply(session, &[create("/a", Kind::Persistent), create("/a/b", Kind::Ephemeral)]).expect("done");
    assert_eq!(tree.apply(session, &[create("/x/y", Kind::Persistent)]), refused(0, Reason::Absent));
    assert_eq!(tree.apply(session, &[create("/a", Kind::Persistent)]), refused(0, Reason::Exists));
    assert_eq!(tree.apply(session, &[create("/a/b/c", Kind::Persistent)]), refused(0, Reason::EphemeralParent));
    assert_eq!(tree.apply(session, &[set("/x", 0)]), refused(0, Reason::Absent));
    let delete = Operation::Delete { path: String::from("/a"), version: 0 };
    assert_eq!(tree.apply(session, &[delete]), refused(0, Reason::Children));
}

#[test]
fn children_are_those_one_level_below() {
    let mut tree = Tree::default();
    let session = tree.open();
    for path in ["/a", "/a/b", "/a/b/c", "/a-b", "/ab"] {
        tree.apply(session, &[create(path, Kind::Persistent)]).expect("done");
    }
    assert_eq!(tree.children("/"), ["a", "a-b", "ab"]);
    assert_eq!(tree.children("/a"), ["b"]);
    assert!(tree.children("/nowhere").is_empty());
}
