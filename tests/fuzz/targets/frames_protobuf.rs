//! Bytes as a server's protobuf: a watch stream, a list, an object of every kind.

#![no_main]

use bytes::Bytes;
use ekscope::{
    kinds::Encoding,
    sources::kube::wire::{Bookmark, Status, unwrap_object},
};
use ekscope_fuzz::{Cluster, list, pieces, watch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let events = watch(Encoding::Protobuf, std::iter::once(data));
    assert_eq!(watch(Encoding::Protobuf, pieces(data)), events, "a watch stream in pieces");
    let items = list(Encoding::Protobuf, std::iter::once(data));
    assert_eq!(list(Encoding::Protobuf, pieces(data)), items, "a list in pieces");

    let whole = Bytes::copy_from_slice(data);
    let mut objects: Vec<Bytes> = events.0.into_iter().map(|(_, object)| object).chain(items.0).collect();
    let within: usize = objects.iter().map(Bytes::len).sum();
    assert!(within <= data.len(), "objects of {within} bytes in {} bytes", data.len());
    objects.extend(unwrap_object(whole.clone()));
    objects.push(whole);
    for object in &objects {
        Status::read(Encoding::Protobuf, object.clone());
        let _ = Bookmark::read(Encoding::Protobuf, object.clone());
    }
    Cluster::of_all_kinds().live_through(Encoding::Protobuf, &objects);
});
