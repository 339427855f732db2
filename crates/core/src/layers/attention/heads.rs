//! What the heads of one sample compute, forwards and backwards.

use std::ops::Range;

use crate::Float;
use crate::elementary::{exp, max, sum};
use crate::matmul::{a_b, at_b, scaled_a_bt};
use crate::simd::wide;
use crate::{Panel, PanelMut};

/// Queries that share one rectangle of keys where later keys are hidden: within it half is computed in vain, across
/// rectangles nothing.
const CAUSAL_BLOCK: usize = 32;

/// The sizes of the heads of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    /// How many heads.
    pub(super) count: usize,
    /// Features of a head.
    pub(super) features: usize,
    /// Positions that ask.
    pub(super) queries: usize,
    /// Positions that answer.
    pub(super) keys: usize,
    /// Whether position `i` sees no position after `i`.
    pub(super) is_causal: bool,
}

/// Queries, keys or values of one sample: `positions` rows, the features of all heads from `offset` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a, F> {
    pub(super) data: &'a [F],
    pub(super) stride: usize,
    pub(super) offset: usize,
}

/// The same, written.
#[derive(Debug)]
pub(super) struct PartMut<'a, F> {
    pub(super) data: &'a mut [F],
    pub(super) stride: usize,
    pub(super) offset: usize,
}

impl<'a, F: Float> Part<'a, F> {
    /// The features of one head at some positions.
    #[inline]
    fn head(self, heads: &Heads, head: usize, positions: Range<usize>) -> Panel<'a, F> {
        let start = positions.start * self.stride + self.offset + head * heads.features;
        Panel::new(&self.data[start..], positions.len(), heads.features, self.stride)
    }

    /// The features of one head at one position.
    #[inline]
    fn position(self, heads: &Heads, head: usize, position: usize) -> &'a [F] {
        let start = position * self.stride + self.offset + head * heads.features;
        &self.data[start..start + heads.features]
    }
}

impl<F: Float> PartMut<'_, F> {
    #[inline]
    fn head(&mut self, heads: &Heads, head: usize, positions: Range<usize>) -> PanelMut<'_, F> {
        let start = positions.start * self.stride + self.offset + head * heads.features;
        PanelMut::new(&mut self.data[start..], positions.len(), heads.features, self.stride)
    }
}

/// The part of a head's square of queries and keys.
#[inline]
fn square<'a, F: Float>(
    a: &'a [F],
    heads: &Heads,
    head: usize,
    queries: Range<usize>,
    keys: Range<usize>,
) -> Panel<'a, F> {
    let start = (head * heads.queries + queries.start) * heads.keys + keys.start;
    Panel::new(&a[start..], queries.len(), keys.len(), heads.keys)
}

impl Heads {
    /// Numbers of the squares of all heads.
    pub(super) fn squares(&self) -> usize {
        self.count * self.square()
    }

    /// Numbers of the square of one head.
    pub(super) fn square(&self) -> usize {
        self.queries * self.keys
    }

    /// Features of all heads.
    pub(super) fn width(&self) -> usize {
        self.count * self.features
    }

    /// Rectangles that cover what is visible: some queries, and all keys that one of them sees.
    fn by_queries(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let Self { queries, keys, is_causal, .. } = *self;
        let step = if is_causal { CAUSAL_BLOCK } else { queries };
        (0..queries).step_by(step).map(move |start| {
            let end = queries.min(start + step);
            (start..end, 0..if is_causal { end } else { keys })
        })
    }

    /// The same by keys: all queries that see one of them, and some keys.
    fn by_keys(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let Self { queries, keys, is_causal, .. } = *self;
        let step = if is_causal { CAUSAL_BLOCK } else { keys };
        (0..keys).step_by(step).map(move |start| {
            let first = if is_causal { start } else { 0 };
            (first..queries, start..keys.min(start + step))
        })
    }

    /// `A = softmax(scale · Q Kᵀ)` of one head over the keys that are visible. Behind a rectangle nothing is written.
    pub(super) fn weights<F: Float>(
        &self,
        head: usize,
        q: Part<'_, F>,
        k: Part<'_, F>,
        mask: Option<&[F]>,
        a: &mut [F],
    ) {
        let scale = self.scale();
        for (queries, keys) in self.by_queries() {
            let stride = self.keys;
            let scores = PanelMut::new(&mut a[queries.start * stride..], queries.len(), keys.len(), stride);
            let (q, k) = (q.head(self, head, queries.clone()), k.head(self, head, keys.clone()));
            scaled_a_bt(scale, q, k, scores);
            let row_of = |query: usize| query * stride..query * stride + keys.len();
            wide(
                #[inline(always)]
                || {
                    for query in queries {
                        let visible = if self.is_causal { query + 1 } else { self.keys };
                        let (row, hidden) = a[row_of(query)].split_at_mut(visible);
                        hidden.fill(F::zero());
                        softmax(row, mask.map(|mask| &mask[..visible]));
                    }
                },
            );
        }
    }

    /// `O = A V` of all heads of one sample.
    pub(super) fn outputs<F: Float>(&self, a: &[F], v: Part<'_, F>, o: &mut [F]) {
        let mut o = PartMut { data: o, stride: self.width(), offset: 0 };
        for head in 0..self.count {
            for (queries, keys) in self.by_queries() {
                let weights = square(a, self, head, queries.clone(), keys.clone());
                a_b(weights, v.head(self, head, keys), o.head(self, head, queries));
            }
        }
    }

    /// `dS = scale · A ⊙ (dO Vᵀ - r)` of one head, the gradient of `Q Kᵀ`, with `r_i = Σ_c dO_ic O_ic`.
    pub(super) fn dscores<F: Float>(
        &self,
        head: usize,
        a: &[F],
        v: Part<'_, F>,
        (o, d_o): (&[F], &[F]),
        ds: &mut [F],
    ) {
        let (scale, stride) = (self.scale::<F>(), self.keys);
        let outputs = |data| Part { data, stride: self.width(), offset: 0 };
        let (o, d_o) = (outputs(o), outputs(d_o));
        for (queries, keys) in self.by_queries() {
            let da = PanelMut::new(&mut ds[queries.start * stride..], queries.len(), keys.len(), stride);
            let values = v.head(self, head, keys.clone());
            scaled_a_bt(F::one(), d_o.head(self, head, queries.clone()), values, da);
            for query in queries {
                let (o, d_o) = (o.position(self, head, query), d_o.position(self, head, query));
                let r: F = o.iter().zip(d_o).map(|(&o, &d_o)| o * d_o).sum();
                let row = query * stride..query * stride + keys.len();
                for (ds, &a) in ds[row.clone()].iter_mut().zip(&a[row]) {
                    *ds = scale * a * (*ds - r);
                }
            }
        }
    }

    /// `dQ = dS K` of all heads of one sample.
    pub(super) fn dqueries<F: Float>(&self, ds: &[F], k: Part<'_, F>, mut dq: PartMut<'_, F>) {
        for head in 0..self.count {
            for (queries, keys) in self.by_queries() {
                let scores = square(ds, self, head, queries.clone(), keys.clone());
                a_b(scores, k.head(self, head, keys), dq.head(self, head, queries));
            }
        }
    }

    /// `dK = dSᵀ Q`, or `dV = Aᵀ dO`, of all heads of one sample.
    pub(super) fn dkeys<F: Float>(&self, squares: &[F], q: Part<'_, F>, mut dk: PartMut<'_, F>) {
        for head in 0..self.count {
            for (queries, keys) in self.by_keys() {
                let part = square(squares, self, head, queries.clone(), keys.clone());
                at_b(part, q.head(self, head, queries), dk.head(self, head, keys));
            }
        }
    }

    /// With `q` and `k` of independent terms of variance 1, `q · k` has the variance `features`; this makes it 1.
    fn scale<F: Float>(&self) -> F {
        F::of(1.0 / (self.features as f64).sqrt())
    }
}

/// The softmax of the scores whose mask is not zero; the others get 0. Without any, all do.
#[inline(always)]
fn softmax<F: Float>(scores: &mut [F], mask: Option<&[F]>) {
    if let Some(mask) = mask {
        if mask.iter().all(|&counts| counts == F::zero()) {
            return scores.fill(F::zero());
        }
        for (score, &counts) in scores.iter_mut().zip(mask) {
            if counts == F::zero() {
                *score = F::neg_infinity();
            }
        }
    }
    let max = max(scores);
    for score in &mut *scores {
        *score = exp(*score - max);
    }
    let factor = F::one() / sum(scores);
    for score in scores {
        *score *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_cover_all_that_is_visible_and_little_else() {
        for (queries, keys, is_causal) in [(5, 7, false), (1, 1, true), (70, 70, true), (64, 64, true)] {
            let heads = Heads { count: 1, features: 1, queries, keys, is_causal };
            for rectangles in [heads.by_queries().collect::<Vec<_>>(), heads.by_keys().collect()] {
                for i in 0..queries {
                    for j in 0..keys {
                        let covering = rectangles.iter().filter(|(q, k)| q.contains(&i) && k.contains(&j));
                        let visible = !is_causal || j <= i;
                        let near = i / CAUSAL_BLOCK == j / CAUSAL_BLOCK;
                        assert_eq!(covering.count(), usize::from(visible || near), "{i}, {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn softmax_leaves_out_what_is_masked() {
        let mut scores = [1.0f64, 2.0, 3.0, 1e308];
        softmax(&mut scores, Some(&[1.0, 0.0, 1.0, 0.0]));
        let (a, b) = (1.0 / (1.0 + 2f64.exp()), 1.0 / (1.0 + (-2f64).exp()));
        assert!((scores[0] - a).abs() < 1e-15 && (scores[2] - b).abs() < 1e-15);
        assert_eq!((scores[1], scores[3]), (0.0, 0.0));
        softmax(&mut scores, Some(&[0.0; 4]));
        assert_eq!(scores, [0.0; 4]);
        let mut scores = [f64::NAN, 1.0];
        softmax(&mut scores, None);
        assert!(scores[0].is_nan() && scores[1].is_nan());
    }
}
