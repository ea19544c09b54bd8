//! The one cache: values that many requests need and that take long to make.
//!
//! A value is made once for all requests that need it at the same time. Whoever reads it decides whether it is fresh,
//! since a list is fresh until the next commit, and accounts for a second. A full cache forgets everything: what is
//! needed often is soon there again, and a hit has no order of use to keep up.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One value of a cache.
#[derive(Debug)]
pub(crate) struct Slot<V> {
    value: Mutex<Option<Arc<V>>>,
    /// Held while the value is made, so that others wait for it instead of making it, too.
    loading: tokio::sync::Mutex<()>,
}

/// Values by key, up to a total weight.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    slots: Mutex<Slots<K, V>>,
    budget: usize,
    /// Returns the weight of a key, with its value once there is one.
    weigh: fn(&K, Option<&V>) -> usize,
}

#[derive(Debug)]
struct Slots<K, V> {
    by_key: foldhash::HashMap<K, Arc<Slot<V>>>,
    weight: usize,
}

impl<V> Default for Slot<V> {
    fn default() -> Slot<V> {
        Slot { value: Mutex::default(), loading: tokio::sync::Mutex::default() }
    }
}

impl<V> Slot<V> {
    /// Returns the value, however old.
    pub(crate) fn get(&self) -> Option<Arc<V>> {
        lock(&self.value).clone()
    }

    /// Returns the value, or makes it if there is none that is fresh. Errors if `load` does.
    pub(crate) async fn get_or_load<E>(
        &self,
        is_fresh: impl Fn(&V) -> bool,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        self.load_once(is_fresh, load, |value| *lock(&self.value) = Some(value.clone())).await
    }

    async fn load_once<E>(
        &self,
        is_fresh: impl Fn(&V) -> bool,
        load: impl Future<Output = Result<V, E>>,
        store: impl FnOnce(&Arc<V>),
    ) -> Result<Arc<V>, E> {
        let fresh = || self.get().filter(|value| is_fresh(value));
        if let Some(value) = fresh() {
            return Ok(value);
        }
        let _loading = self.loading.lock().await;
        if let Some(value) = fresh() {
            return Ok(value);
        }
        let value = Arc::new(load.await?);
        store(&value);
        Ok(value)
    }
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// Returns a cache whose keys and values weigh up to `budget`. A key or value of more than an eighth of it is not
    /// kept.
    pub(crate) fn new(budget: usize, weigh: fn(&K, Option<&V>) -> usize) -> Cache<K, V> {
        let slots = Slots { by_key: foldhash::HashMap::default(), weight: 0 };
        Cache { slots: Mutex::new(slots), budget, weigh }
    }

    /// Returns the value of a key, however old.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = lock(&self.slots).by_key.get(key)?.clone();
        slot.get()
    }

    /// Returns the value of a key, or makes it if there is none that is fresh. Errors if `load` does.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: K,
        is_fresh: impl Fn(&V) -> bool,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        let slot = self.slot(&key);
        slot.load_once(is_fresh, load, |value| self.store(key, &slot, value)).await
    }

    fn slot(&self, key: &K) -> Arc<Slot<V>> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.by_key.get(key) {
            return slot.clone();
        }
        let slot = Arc::new(Slot::default());
        let weight = (self.weigh)(key, None);
        if weight <= self.budget / 8 {
            slots.insert(key.clone(), slot.clone(), weight, self.budget);
        }
        slot
    }

    fn store(&self, key: K, slot: &Arc<Slot<V>>, value: &Arc<V>) {
        let weight = (self.weigh)(&key, Some(value));
        if weight > self.budget / 8 {
            return;
        }
        let mut slots = lock(&self.slots);
        let mut stored = lock(&slot.value);
        // A slot that was forgotten meanwhile still serves the requests that wait for it.
        if slots.by_key.get(&key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            slots.weight -= (self.weigh)(&key, stored.as_deref());
            slots.insert(key, slot.clone(), weight, self.budget);
        }
        *stored = Some(value.clone());
    }
}

impl<K: Eq + Hash, V> Slots<K, V> {
    fn insert(&mut self, key: K, slot: Arc<Slot<V>>, weight: usize, budget: usize) {
        if self.weight + weight > budget {
            self.by_key.clear();
            self.weight = 0;
        }
        self.by_key.insert(key, slot);
        self.weight += weight;
    }
}

/// A value is replaced whole, so that it is sound even if a thread panicked beside it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn cache() -> Cache<Arc<str>, String> {
        Cache::new(80, |key, value| key.len() + value.map_or(0, String::len))
    }

    async fn put(cache: &Cache<Arc<str>, String>, key: &str, value: &str) {
        let load = async { Ok::<_, Infallible>(value.to_string()) };
        let made = cache.get_or_load(key.into(), |_| false, load).await.unwrap();
        assert_eq!(*made, value);
    }

    #[tokio::test]
    async fn a_full_cache_forgets_and_its_weight_is_that_of_what_it_holds() {
        let cache = cache();
        for round in 0..100 {
            let key = format!("{}", round % 10);
            put(&cache, &key, &"v".repeat(round % 7)).await;
            assert_eq!(cache.get(key.as_str()).unwrap().len(), round % 7);
            let slots = lock(&cache.slots);
            let weigh = |(key, slot): (&Arc<str>, &Arc<Slot<String>>)| {
                key.len() + slot.get().map_or(0, |value| value.len())
            };
            assert_eq!(slots.by_key.iter().map(weigh).sum::<usize>(), slots.weight);
            assert!(slots.weight <= 80);
        }
    }

    #[tokio::test]
    async fn what_is_too_heavy_is_made_and_not_kept() {
        let cache = cache();
        put(&cache, "a", &"v".repeat(10)).await;
        assert_eq!(cache.get("a"), None);
        put(&cache, &"k".repeat(11), "").await;
        assert_eq!(cache.get("k".repeat(11).as_str()), None);
        put(&cache, "a", "v").await;
        assert_eq!(cache.get("a").unwrap().as_str(), "v");
    }

    #[tokio::test]
    async fn a_value_is_made_once_for_all_and_again_when_making_it_fails() {
        let cache = cache();
        let calls = AtomicUsize::new(0);
        let ask = || {
            let load = async {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                if call == 0 { Err("failed") } else { Ok("v".to_string()) }
            };
            cache.get_or_load("k".into(), |_| true, load)
        };
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        assert_eq!(first, Err("failed"));
        assert_eq!((second.unwrap().as_str(), third.unwrap().as_str()), ("v", "v"));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
