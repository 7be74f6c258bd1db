//! Bytes as a server's JSON: a watch stream, a list, an object of every kind.

#![no_main]

use bytes::Bytes;
use ekscope::{
    kinds::Encoding,
    sources::kube::wire::{Bookmark, ListMeta, Status},
};
use ekscope_fuzz::{Cluster, list, pieces, watch};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|data: &[u8]| {
    let events = watch(Encoding::Json, std::iter::once(data));
    assert_eq!(watch(Encoding::Json, pieces(data)), events, "a watch stream in pieces");

    let (items, failed, complete, meta) = list(Encoding::Json, std::iter::once(data));
    let cut = list(Encoding::Json, pieces(data));
    assert_eq!((&cut.0, cut.1.is_some(), cut.2, &cut.3), (&items, failed.is_some(), complete, &meta), "a list in pieces");

    let whole = Bytes::copy_from_slice(data);
    if complete && items.iter().all(|item| serde_json::from_slice::<IgnoredAny>(item).is_ok()) {
        assert_eq!(ListMeta::of_json(&whole), Ok(meta), "what is cut without an error is a list");
    }
    let mut objects: Vec<Bytes> = events.0.into_iter().map(|(_, object)| object).collect();
    // An event may come without its object.
    objects.retain(|object| !object.is_empty());
    objects.extend(items.into_iter().filter(|item| serde_json::from_slice::<IgnoredAny>(item).is_ok()));
    let within: usize = objects.iter().map(Bytes::len).sum();
    // The same bytes may be an event and a list at once.
    assert!(within <= 2 * data.len(), "objects of {within} bytes in {} bytes", data.len());
    for object in &objects {
        assert!(serde_json::from_slice::<IgnoredAny>(object).is_ok(), "{object:?} is no JSON");
    }
    objects.push(whole);
    for object in &objects {
        Status::read(Encoding::Json, object.clone());
        let _ = Bookmark::read(Encoding::Json, object.clone());
    }
    Cluster::of_all_kinds().live_through(Encoding::Json, &objects);
});
