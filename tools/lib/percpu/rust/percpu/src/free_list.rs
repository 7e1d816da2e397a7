// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Free lists.

use core::marker::PhantomData;
use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::counter::drain_all;
use crate::{op, Error, Index, PerCpu};

/// A value that can be in a [`FreeList`], which needs no memory for that.
#[derive(Debug)]
pub struct Node<T> {
    next: *mut Node<T>,
    value: T,
}

// SAFETY: `next` is used by the list alone, while it owns the node.
unsafe impl<T: Send> Send for Node<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for Node<T> {}

impl<T> Node<T> {
    /// A node in no list.
    pub fn new(value: T) -> Box<Self> {
        Box::new(Node {
            next: null_mut(),
            value,
        })
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Node<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Node<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// A list of nodes for each index, last in, first out. A node is in one list or is owned by one
/// thread.
///
/// ```
/// use percpu::{Cid, FreeList, Node};
///
/// let buffers: FreeList<[u8; 64], Cid> = FreeList::new();
/// // Where there is none, a new one.
/// let mut buffer = buffers.pop()?.unwrap_or_else(|| Node::new([0; 64]));
/// buffer[0] = 1;
/// buffers.push(buffer).map_err(|(_buffer, error)| error)?;
///
/// // All there are. Without cpu_opv(2), those of the own index alone.
/// let (mut all, _result) = buffers.drain_all();
/// assert!(all.all(|buffer| buffer[0] == 1));
/// # Ok::<(), percpu::Error>(())
/// ```
#[derive(Debug)]
pub struct FreeList<T, I: Index> {
    heads: PerCpu<AtomicUsize, I>,
    nodes: PhantomData<Box<Node<T>>>,
}

// SAFETY: Nodes go from one thread to another, no two threads have the same.
unsafe impl<T: Send, I: Index> Send for FreeList<T, I> {}
// SAFETY: As above.
unsafe impl<T: Send, I: Index> Sync for FreeList<T, I> {}

impl<T, I: Index> FreeList<T, I> {
    /// Empty lists.
    pub fn new() -> Self {
        FreeList {
            heads: PerCpu::default(),
            nodes: PhantomData,
        }
    }

    /// Puts a node on the list of the index that the thread has. With an error, it comes back.
    #[inline]
    pub fn push(&self, node: Box<Node<T>>) -> Result<(), (Box<Node<T>>, Error)> {
        let node = Box::into_raw(node);
        let pushed = op::here::<I, _>(|index| {
            let head = self.heads.get(index)?;
            for _ in 0..1000 {
                let first = head.load(Relaxed);
                // SAFETY: The node is ours until the store below. That takes its address, and so
                // makes it the list's, only while the first one is what it points to.
                unsafe {
                    (*node).next = first as *mut _;
                    if op::cmpeqv_storev::<I>(head.as_ptr(), first, node as usize, index)? {
                        return Ok(());
                    }
                }
            }
            Err(Error::Again)
        });
        // SAFETY: It was not stored: it is ours still.
        pushed.map_err(|error| (unsafe { Box::from_raw(node) }, error))
    }

    /// Takes the node that was last put on the list of the index that the thread has.
    #[inline]
    pub fn pop(&self) -> Result<Option<Box<Node<T>>>, Error> {
        let node = op::here::<I, _>(|index| {
            let head = self.heads.get(index)?.as_ptr();
            let next = offset_of!(Node<T>, next) as isize;
            // SAFETY: All that is on the list are nodes. One that leaves it, by whatever thread,
            // does so by an operation for this index, which aborts sequences.
            unsafe { op::cmpnev_storeoffp_load::<I>(head, 0, next, index) }
        })?;
        // SAFETY: It is on no list any more, and nobody else took it.
        Ok(node.map(|node| unsafe { Box::from_raw(node as *mut Node<T>) }))
    }

    /// Takes all nodes of an index.
    pub fn drain(&self, index: u32) -> Result<Drained<T>, Error> {
        let head = self.heads.get(index)?.as_ptr();
        // SAFETY: A word that is changed by operations for that index alone.
        let first = unsafe { op::exchange::<I>(head, 0, index) }? as *mut Node<T>;
        Ok(Drained { lists: vec![first] })
    }

    /// Takes all nodes of all indices that can be drained. The error is that of the first that
    /// cannot.
    pub fn drain_all(&self) -> (Drained<T>, Result<(), Error>) {
        drain_all(
            self.heads.len(),
            Drained { lists: Vec::new() },
            |all, index| {
                all.lists.append(&mut self.drain(index)?.lists);
                Ok(())
            },
        )
    }
}

impl<T, I: Index> Default for FreeList<T, I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, I: Index> Drop for FreeList<T, I> {
    fn drop(&mut self) {
        let heads = self.heads.iter_mut();
        drop(Drained::<T> {
            lists: heads.map(|head| *head.get_mut() as *mut _).collect(),
        });
    }
}

/// Nodes that were taken from a [`FreeList`].
#[derive(Debug)]
pub struct Drained<T> {
    /// The first node of each, or null.
    lists: Vec<*mut Node<T>>,
}

// SAFETY: It owns the nodes.
unsafe impl<T: Send> Send for Drained<T> {}

impl<T> Iterator for Drained<T> {
    type Item = Box<Node<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.lists.last()?.is_null() {
            self.lists.pop();
        }
        let first = self.lists.last_mut()?;
        // SAFETY: The nodes are ours, and the list goes on at the next one.
        let node = unsafe { Box::from_raw(*first) };
        *first = node.next;
        Some(node)
    }
}

impl<T> Drop for Drained<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
