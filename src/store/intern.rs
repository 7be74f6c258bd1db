//! Strings kept once. Sources intern while they decode ([`Interner`]); what they created since the last batch travels
//! with it ([`Fresh`]), and the world reads from its own list ([`Symbols`]). The texts themselves are shared, so nothing
//! is held twice and nothing is locked.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};

/// An interned text of one cluster. The default is the empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sym(u32);

impl Sym {
    pub const EMPTY: Sym = Sym(0);

    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// An interned set of labels. The default is the empty set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LabelSet(u32);

impl LabelSet {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Label keys and values, in the order of the keys' text.
pub type Labels = Arc<[(Sym, Sym)]>;

/// What was interned since the last batch, in order. Applying every batch in order keeps the world's ids equal.
#[derive(Debug, Default)]
pub struct Fresh {
    texts: Vec<Arc<str>>,
    labels: Vec<Labels>,
}

/// The writing side, one per cluster, owned by the sources' thread.
#[derive(Default)]
pub struct Interner {
    hasher: DefaultHashBuilder,
    texts: Vec<Arc<str>>,
    text_ids: HashTable<u32>,
    labels: Vec<Labels>,
    label_ids: HashTable<u32>,
    shipped_texts: usize,
    shipped_labels: usize,
}

impl Interner {
    /// The symbol of a text.
    pub fn text(&mut self, text: &str) -> Sym {
        if text.is_empty() {
            return Sym::EMPTY;
        }
        let hash = self.hasher.hash_one(text);
        let texts = &self.texts;
        if let Some(id) = self.text_ids.find(hash, |&id| &*texts[id as usize] == text) {
            return Sym(*id + 1);
        }
        let id = index(self.texts.len());
        self.texts.push(Arc::from(text));
        let (hasher, texts) = (&self.hasher, &self.texts);
        self.text_ids.insert_unique(hash, id, |&id| hasher.hash_one(&*texts[id as usize]));
        Sym(id + 1)
    }

    /// The symbol of a text as it came from the wire; what is not UTF-8 is replaced, never refused.
    pub fn bytes(&mut self, bytes: &[u8]) -> Sym {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text),
            Err(_) => self.text(&String::from_utf8_lossy(bytes)),
        }
    }

    /// The set of these labels.
    pub fn labels(&mut self, mut pairs: Vec<(Sym, Sym)>) -> LabelSet {
        if pairs.is_empty() {
            return LabelSet(0);
        }
        pairs.sort_unstable_by(|a, b| self.get(a.0).cmp(self.get(b.0)));
        let hash = self.hasher.hash_one(&pairs[..]);
        let labels = &self.labels;
        if let Some(id) = self.label_ids.find(hash, |&id| labels[id as usize][..] == pairs[..]) {
            return LabelSet(*id + 1);
        }
        let id = index(self.labels.len());
        self.labels.push(Arc::from(pairs));
        let (hasher, labels) = (&self.hasher, &self.labels);
        self.label_ids.insert_unique(hash, id, |&id| hasher.hash_one(&labels[id as usize][..]));
        LabelSet(id + 1)
    }

    pub fn get(&self, sym: Sym) -> &str {
        if sym.is_empty() { "" } else { &self.texts[sym.index() - 1] }
    }

    /// Takes what was interned since the last call. Call it at the moment of sending, and send in that order.
    pub fn fresh(&mut self) -> Fresh {
        let fresh = Fresh {
            texts: self.texts[self.shipped_texts..].to_vec(),
            labels: self.labels[self.shipped_labels..].to_vec(),
        };
        self.shipped_texts = self.texts.len();
        self.shipped_labels = self.labels.len();
        fresh
    }
}

/// The reading side, owned by the world.
#[derive(Default)]
pub struct Symbols {
    texts: Vec<Arc<str>>,
    labels: Vec<Labels>,
}

impl Symbols {
    pub fn extend(&mut self, fresh: Fresh) {
        self.texts.extend(fresh.texts);
        self.labels.extend(fresh.labels);
    }

    pub fn get(&self, sym: Sym) -> &str {
        if sym.is_empty() { "" } else { self.texts.get(sym.index() - 1).map_or("", |text| text) }
    }

    pub fn labels(&self, set: LabelSet) -> &[(Sym, Sym)] {
        if set.0 == 0 { &[] } else { self.labels.get(set.0 as usize - 1).map_or(&[], |labels| labels) }
    }

    /// The value of one label of a set.
    pub fn label(&self, set: LabelSet, key: &str) -> Option<Sym> {
        self.labels(set).iter().find(|(name, _)| self.get(*name) == key).map(|(_, value)| *value)
    }

    /// How many symbols there are, the empty one included: the length of a table indexed by [`Sym::index`].
    pub fn len(&self) -> usize {
        self.texts.len() + 1
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The symbol of a text, if any object ever used it. A scan: for what a person typed, not for rows.
    pub fn find(&self, text: &str) -> Option<Sym> {
        if text.is_empty() {
            return Some(Sym::EMPTY);
        }
        self.texts.iter().position(|known| &**known == text).map(|at| Sym(index(at) + 1))
    }
}

/// Slots by symbol: a table of its own is quicker to ask than a map, and rows ask for every cell.
#[derive(Debug, Default)]
pub struct SlotBySymbol(Vec<u32>);

impl SlotBySymbol {
    const NONE: u32 = u32::MAX;

    pub fn get(&self, sym: Sym) -> Option<u32> {
        self.0.get(sym.index()).copied().filter(|slot| *slot != Self::NONE)
    }

    pub fn set(&mut self, sym: Sym, slot: Option<u32>) {
        if self.0.len() <= sym.index() {
            if slot.is_none() {
                return;
            }
            self.0.resize(sym.index() + 1, Self::NONE);
        }
        self.0[sym.index()] = slot.unwrap_or(Self::NONE);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "4 billion distinct texts do not fit into memory")]
fn index(length: usize) -> u32 {
    length as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_sees_the_same_ids_batch_by_batch() {
        let (mut interner, mut symbols) = (Interner::default(), Symbols::default());
        let first = interner.text("a");
        symbols.extend(interner.fresh());
        let second = interner.text("b");
        let set = interner.labels(vec![(second, first), (first, second)]);
        assert_eq!(interner.text("a"), first);
        assert_eq!(interner.labels(vec![(first, second), (second, first)]), set, "order does not matter");
        symbols.extend(interner.fresh());
        assert_eq!((symbols.get(first), symbols.get(second), symbols.get(Sym::EMPTY)), ("a", "b", ""));
        assert_eq!(symbols.label(set, "b"), Some(first));
        assert_eq!(symbols.labels(set).len(), 2);
        assert_eq!(symbols.find("b"), Some(second));
        assert_eq!(symbols.find("c"), None);
    }

    #[test]
    fn what_is_not_utf8_is_kept_readable() {
        let mut interner = Interner::default();
        let sym = interner.bytes(b"a\xff");
        assert_eq!(interner.get(sym), "a\u{fffd}");
    }
}
