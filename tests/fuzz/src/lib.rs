//! What the targets share: counted memory, a stream cut at arbitrary places, and a cluster that takes objects in and
//! shows every cell of them.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use ekscope::{
    kinds::{self, Decoder, Encoding, EventKind, KindId, KindInfo},
    sources::kube::wire::{ListFrames, ListMeta, WatchFrames, WireError},
    store::{intern::Interner, table::natural_order, value::Value, world::World},
};

/// The year 2100: later than anything that is put down while this runs.
pub const NOW: i64 = 4_102_444_800;

/// Counts what is allocated.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: it is the system's allocator, which the counters do not touch.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Does some work that may hold `allowed` bytes at once and no more.
pub fn within<T>(allowed: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    let used = PEAK.load(Relaxed).saturating_sub(before);
    assert!(used <= allowed, "{used} bytes of memory, where {allowed} would do");
    result
}

/// Cuts data at places that follow from it and from nothing else.
pub fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut seed = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut rest = data;
    std::iter::from_fn(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (piece, after) = rest.split_at((1 + (seed >> 40) as usize % 40).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Reserved ahead for the rest of an object that has begun.
const AHEAD: usize = 5 << 20;

/// What a watch stream of these pieces says: its events, how it fails, and whether it may end here.
pub fn watch<'a>(
    encoding: Encoding,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<(String, Bytes)>, Option<WireError>, bool) {
    let mut frames = WatchFrames::new(encoding);
    let mut events = Vec::new();
    for piece in pieces {
        within(AHEAD + 1024 * piece.len(), || frames.push(piece));
        loop {
            match within(AHEAD, || frames.next_event()) {
                Ok(Some(event)) => events.push((format!("{:?}", event.event), event.object)),
                Ok(None) => break,
                Err(error) => return (events, Some(error), false),
            }
        }
    }
    (events, None, frames.at_boundary())
}

/// What a list of these pieces says: its items, how it fails, whether it is complete, and where it stands.
pub fn list<'a>(
    encoding: Encoding,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Bytes>, Option<WireError>, bool, ListMeta) {
    let mut frames = ListFrames::new(encoding);
    let mut items = Vec::new();
    for piece in pieces {
        within(AHEAD + 1024 * piece.len(), || frames.push(piece));
        loop {
            match within(AHEAD, || frames.next_item()) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error), false, ListMeta::default()),
            }
        }
    }
    let meta = frames.meta().clone();
    (items, None, frames.is_complete(), meta)
}

/// A cluster's world, and the decoders of the kinds that it takes in.
pub struct Cluster {
    pub world: World,
    interner: Interner,
    decoders: Vec<(KindId, Box<dyn Decoder>)>,
}

impl Cluster {
    /// Every kind that has a file of its own.
    pub fn of_all_kinds() -> Self {
        let world = World::default();
        let served = world.kinds().filter(|(_, info)| info.origin == ekscope::kinds::Origin::Server);
        let decoders = served.map(|(kind, info)| (kind, kinds::decoder(kind, info))).collect();
        Self { world, interner: Interner::default(), decoders }
    }

    /// One kind that only the server knows; it says how its objects are printed.
    pub fn of_generic(info: KindInfo, description: Option<&[u8]>) -> Self {
        let mut world = World::default();
        world.set_kinds(vec![info.clone()], &[]);
        let (kind, _) = world.kinds().find(|(_, known)| known.plural == info.plural).expect("the kind");
        let mut decoder = kinds::decoder(kind, &info);
        within(1024 * (description.map_or(0, <[u8]>::len) + 1024), || decoder.describe(description));
        Self { world, interner: Interner::default(), decoders: vec![(kind, decoder)] }
    }

    /// Takes an object in, or out again, as every kind that can read it.
    pub fn feed(&mut self, event: EventKind, encoding: Encoding, object: &Bytes) {
        for (kind, decoder) in &mut self.decoders {
            // An empty message of two bytes becomes a struct of some hundred bytes.
            let allowed = 1024 * (object.len() + 1024);
            // What cannot be read is counted elsewhere.
            let _ = within(allowed, || decoder.object(event, encoding, object.clone(), &mut self.interner));
            if let Some(columns) = decoder.columns() {
                self.world.set_columns(*kind, columns);
            }
            let _ = decoder.reshaped();
            self.world.symbols.extend(self.interner.fresh());
            let (count, changes) = decoder.take();
            assert_eq!(decoder.pending(), 0);
            if count > 0 {
                self.world.apply(*kind, changes, 1);
            }
        }
    }

    /// Reads objects, shows them, and lets them go again: then nothing may be left.
    pub fn live_through(&mut self, encoding: Encoding, objects: &[Bytes]) {
        for object in objects {
            self.feed(EventKind::Present, encoding, object);
        }
        self.show();
        for object in objects {
            self.feed(EventKind::Deleted, encoding, object);
        }
        self.world.settle();
        for (kind, _) in &self.decoders {
            let (rows, info) = (self.world.rows(*kind), self.world.kind(*kind));
            assert!(rows.is_empty() && rows.natural().is_empty(), "{} are left of {}", rows.len(), info.plural);
        }
    }

    /// Every cell in every way.
    fn show(&mut self) {
        self.world.settle();
        for (kind, _) in &self.decoders {
            let rows = self.world.rows(*kind);
            assert_eq!(rows.natural().len(), rows.len());
            let in_order = |pair: &[u32]| natural_order(rows, pair[0], pair[1], &self.world.symbols).is_lt();
            assert!(rows.natural().windows(2).all(in_order), "the natural order");
            for column in 0..rows.columns().len() {
                let mut last: Option<Value<'_>> = None;
                for &id in rows.natural() {
                    let value = rows.value(id, column, &self.world);
                    let _ = (value.render(NOW), value.json(NOW), value.number(NOW), value.words());
                    if let Some(last) = last {
                        assert_eq!(value.compare(&last), last.compare(&value).reverse(), "{value:?} and {last:?}");
                    }
                    last = Some(value);
                }
            }
            for &id in rows.natural() {
                let _ = (rows.health(id, &self.world), rows.drill(id, &self.world), rows.parent(id));
            }
        }
    }
}
