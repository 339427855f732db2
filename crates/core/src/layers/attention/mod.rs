//! Attention: every position takes a mean of all others, weighted by how well they answer it.

mod derivation;
mod heads;
mod projection;
#[cfg(test)]
mod tests;

use crate::executor::for_each_item;
use crate::{
    Ctx, Derivation, Error, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows, RowsMut, Shape,
    TapeLen, activation,
};
use heads::{Heads, Part, PartMut};
use projection::{Projection, affine_accumulate, affine_backward, affine_forward, part, sample_of};

/// Multi-head attention (Vaswani et al., 2017), as `torch.nn.MultiheadAttention` with `batch_first`.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x_q`, `x_k`, `x_v` | `[n, t, d]`, `[n, s, d]` twice | what asks, what is compared, what is taken; one input may be several |
/// | `W`, `b` | `[3d, d]`, `[3d]` | `in_proj`: one below the other `W_q`, `W_k`, `W_v` |
/// | `Q`, `K`, `V` | `[t, d]`, `[s, d]` twice | projections; a head has `c = d / heads` of the columns |
/// | `A` | `[heads, t, s]` | weights: how much of each value a query takes |
/// | `O` | `[t, d]` | outputs of the heads, side by side |
/// | `U`, `u` | `[d, d]`, `[d]` | `out_proj` |
/// | `y` | `[n, t, d]` | outputs |
///
/// # Derivation
/// For one sample and one head, with `σ = 1/√c`:
/// ```text
/// Q = x_q W_qᵀ + b_q     K = x_k W_kᵀ + b_k     V = x_v W_vᵀ + b_v
/// s_ij = σ Σ_c q_ic k_jc                      scores: of variance 1 if the terms of q and k have it
/// a_ij = exp(s_ij) / Σ_l exp(s_il)            over the keys l that query i may see
/// o_ic = Σ_j a_ij v_jc
/// y    = O Uᵀ + u                             all heads' o side by side
/// ```
/// The last line is a dense layer: `dO = dy U`, `dU = dyᵀ O`, `du = Σ_rows dy`. Then the two factors of `o`:
/// ```text
/// dL/dv_jc = Σ_i dL/do_ic · do_ic/dv_jc = Σ_i a_ij do_ic           dV = Aᵀ dO
/// dL/da_ij = Σ_c dL/do_ic · do_ic/da_ij = Σ_c do_ic v_jc           dA = dO Vᵀ
/// ```
/// The softmax of a row has, by the quotient rule, `∂a_il/∂s_ij = a_il ([l = j] - a_ij)`, so
/// ```text
/// dL/ds_ij = Σ_l da_il a_il ([l = j] - a_ij) = a_ij (da_ij - r_i)
/// r_i      = Σ_l da_il a_il = Σ_l Σ_c do_ic v_lc a_il = Σ_c do_ic o_ic
/// ```
/// where the last sum is the shorter one (Dao, Fu, Ermon, Rudra & Ré, 2022). The product of the scores, with `σ` taken
/// into `ds`:
/// ```text
/// ds_ij  ← σ a_ij (da_ij - r_i)
/// dq_ic  = Σ_j ds_ij k_jc          dQ = dS K
/// dk_jc  = Σ_i ds_ij q_ic          dK = dSᵀ Q
/// ```
/// Last the three projections, dense layers again, for `p = q, k, v` with `P = Q, K, V`:
/// ```text
/// dx_p = dP W_p          dW_p = dPᵀ x_p          db_p = Σ_rows dP
/// ```
/// and an input that is used twice gets the sum, as its projections are one product with two or three parts of `W`.
///
/// A key that is padding, or for `causal` stands after the query, is left out of the sum over `l`: its `a_ij` is 0, with it
/// `ds_ij` and its part of `dv_j`. A query that sees nothing takes nothing: its row of `O` is 0.
///
/// # Memory
/// The tape holds for the batch the projections and their gradients, `A` and `dS`, `O` and `dO`.
#[derive(Debug)]
pub struct MultiHeadAttention {
    inputs: Vec<Shape>,
    heads: Heads,
    bias: bool,
    weight_init: Initializer,
    bias_init: Initializer,
}

/// The type's name in experiment files.
const NAME: &str = "multi_head_attention";

/// The parts of the tape; each holds all samples.
struct Memory<'a, F> {
    projections: &'a mut [F],
    dprojections: &'a mut [F],
    weights: &'a mut [F],
    dscores: &'a mut [F],
    outputs: &'a mut [F],
    doutputs: &'a mut [F],
}

/// The parameters; biases are empty if there are none.
struct Tensors<'a, F> {
    in_weight: Rows<'a, F>,
    in_bias: &'a [F],
    out_weight: Rows<'a, F>,
    out_bias: &'a [F],
}

impl MultiHeadAttention {
    /// Attention of one input to itself, of a first to a second, or of queries to keys with values of their own.
    /// Weights start `xavier_uniform`, biases at zero.
    ///
    /// # Errors
    /// [`Error::InputCount`] beyond three inputs; [`Error::Layer`] if they are no sequences of equally many features,
    /// keys and values are not equally many, or the heads do not divide the features; [`Error::TooLarge`] if the
    /// weights of a sample exceed the address space.
    pub fn new(inputs: &[Shape], heads: usize) -> Result<Self, Error> {
        if inputs.is_empty() || inputs.len() > 3 {
            return Err(Error::InputCount { layer: NAME, expected: "1 to 3 inputs", found: inputs.len() });
        }
        let (queries, features) = super::sequence(NAME, &inputs[0])?;
        let (keys, _) = super::sequence(NAME, &inputs[1.min(inputs.len() - 1)])?;
        let error = |message| Err(Error::Layer { layer: NAME, message });
        for input in &inputs[1..] {
            let (positions, found) = super::sequence(NAME, input)?;
            if found != features {
                return error(format!(
                    "its inputs need equally many features, but have {features} and {found}; bring them to {features} by a dense layer"
                ));
            }
            if positions != keys {
                return error(format!(
                    "every key needs a value, but there are {keys} keys and {positions} values"
                ));
            }
        }
        if heads == 0 || !features.is_multiple_of(heads) {
            return error(format!(
                "{heads} heads cannot share {features} features evenly; `heads` must divide {features}"
            ));
        }
        let heads = Heads { count: heads, features: features / heads, queries, keys, is_causal: false };
        let layer = Self {
            inputs: inputs.to_vec(),
            heads,
            bias: true,
            weight_init: Initializer::XavierUniform { gain: 1.0 },
            bias_init: Initializer::Zeros,
        };
        Shape::new([3, features, features])?;
        Shape::new([heads.count, queries, keys])?;
        layer.checked_tape()?;
        Ok(layer)
    }

    /// The same layer, where no position sees those after it.
    ///
    /// # Errors
    /// [`Error::Layer`] if queries and keys are not equally many.
    pub fn causal(mut self) -> Result<Self, Error> {
        let Heads { queries, keys, .. } = self.heads;
        if queries != keys {
            let message = format!(
                "`causal` needs as many keys as queries, but there are {keys} and {queries}: which come before which is open"
            );
            return Err(Error::Layer { layer: NAME, message });
        }
        self.heads.is_causal = true;
        Ok(self)
    }

    /// The same layer without `b` and `u`.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same layer with other start values.
    pub fn with_init(self, weight_init: Initializer, bias_init: Initializer) -> Self {
        Self { weight_init, bias_init, ..self }
    }

    fn features(&self) -> usize {
        self.heads.width()
    }

    /// The projections, one for each input.
    fn projections(&self) -> impl Iterator<Item = Projection> + '_ {
        let d = self.features();
        let parts: &[usize] = match self.inputs.len() {
            1 => &[3],
            2 => &[1, 2],
            _ => &[1, 1, 1],
        };
        let (mut first, mut start) = (0, 0);
        parts.iter().zip(&self.inputs).map(move |(&parts, input)| {
            let positions = input.axes()[0];
            let own = Projection { positions, first, width: parts * d, start };
            first += own.width;
            start += own.len();
            own
        })
    }

    /// Where `Q`, `K` and `V` are: in which projection, from which column on.
    fn places(&self) -> [(Projection, usize); 3] {
        let place = |row: usize| {
            let holds = |own: &Projection| row < own.first + own.width;
            let own = self.projections().find(holds).expect("the projections cover 3d rows");
            (own, row - own.first)
        };
        let d = self.features();
        [place(0), place(d), place(2 * d)]
    }

    /// Numbers a sample of the parts of [`Memory`], each there twice.
    fn lengths(&self) -> [usize; 3] {
        let projections = self.projections().map(|own| own.len()).fold(0, usize::saturating_add);
        [projections, self.heads.squares(), self.inputs[0].len()]
    }

    fn checked_tape(&self) -> Result<usize, Error> {
        let lengths = self.lengths();
        let len = lengths.iter().fold(0usize, |sum, &len| sum.saturating_add(len.saturating_mul(2)));
        Ok(Shape::vector(len).map_err(|_| Error::TooLarge { axes: lengths.to_vec() })?.len())
    }

    fn memory<'a, F: Float>(&self, tape: &'a mut [F], rows: usize) -> Memory<'a, F> {
        let [projections, squares, outputs] = self.lengths().map(|len| len * rows);
        let (projections_, rest) = tape.split_at_mut(projections);
        let (dprojections, rest) = rest.split_at_mut(projections);
        let (weights, rest) = rest.split_at_mut(squares);
        let (dscores, rest) = rest.split_at_mut(squares);
        let (outputs_, rest) = rest.split_at_mut(outputs);
        let doutputs = &mut rest[..outputs];
        Memory { projections: projections_, dprojections, weights, dscores, outputs: outputs_, doutputs }
    }

    fn tensors<'a, F: Float>(&self, theta: &'a [F]) -> Tensors<'a, F> {
        let d = self.features();
        let biases = usize::from(self.bias) * d;
        let (in_weight, rest) = theta.split_at(3 * d * d);
        let (in_bias, rest) = rest.split_at(3 * biases);
        let (out_weight, out_bias) = rest.split_at(d * d);
        Tensors {
            in_weight: Rows::new(in_weight, d),
            in_bias,
            out_weight: Rows::new(out_weight, d),
            out_bias,
        }
    }
}

impl<F: Float> Layer<F> for MultiHeadAttention {
    fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.clone()
    }

    fn output_shape(&self) -> &Shape {
        &self.inputs[0]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let d = self.features();
        let tensor = |name: &str, axes: &[usize], role, initializer, rows: usize| {
            let shape = Shape::new(axes).expect("checked by new");
            Parameter::new(name, shape, role, initializer, Fans { fan_in: d, fan_out: rows })
        };
        let mut parameters = vec![
            tensor("in_proj_weight", &[3 * d, d], Role::Weight, self.weight_init, 3 * d),
            tensor("in_proj_bias", &[3 * d], Role::Bias, self.bias_init, 3 * d),
            tensor("out_proj.weight", &[d, d], Role::Weight, self.weight_init, d),
            tensor("out_proj.bias", &[d], Role::Bias, self.bias_init, d),
        ];
        parameters.retain(|tensor| self.bias || tensor.role != Role::Bias);
        parameters
    }

    fn masked_positions(&self) -> Vec<usize> {
        vec![self.heads.keys]
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: self.checked_tape().expect("checked by new"), per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        let d = self.features();
        let projections = self.projections().map(|own| own.len().saturating_mul(d));
        let squares = self.heads.squares().saturating_mul(2 * self.heads.features);
        projections
            .fold(squares.saturating_add(self.inputs[0].len().saturating_mul(d)), usize::saturating_add)
    }

    fn derivation(&self) -> Derivation {
        derivation::of(self)
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (rows, d, heads) = (inputs[0].len(), self.features(), &self.heads);
        let tensors = self.tensors(theta);
        let Memory { projections, weights, outputs, .. } = self.memory(tape, rows);
        for (own, x) in self.projections().zip(inputs) {
            let b = if self.bias { &tensors.in_bias[own.first..own.first + own.width] } else { &[] };
            let z = own.of_mut(projections, rows);
            affine_forward(ctx.executor, own.weight(tensors.in_weight), b, x.with_width(d), z);
        }

        let projections = &*projections;
        let [q, k, v] = self.places();
        let mask = ctx.mask_of(heads.keys);
        let work = heads.square() * (heads.features + activation::WORK);
        for_each_item(ctx.executor, weights, heads.square(), work, |first, weights| {
            for (index, a) in weights.chunks_exact_mut(heads.square()).enumerate() {
                let (sample, head) = ((first + index) / heads.count, (first + index) % heads.count);
                let mask = mask.map(|mask| sample_of(mask.data(), heads.keys, sample));
                let (q, k) = (part(q, projections, rows, sample), part(k, projections, rows, sample));
                heads.weights(head, q, k, mask, a);
            }
        });

        let (weights, len) = (&*weights, self.inputs[0].len());
        for_each_item(ctx.executor, outputs, len, heads.squares() * heads.features, |first, outputs| {
            for (sample, o) in (first..).zip(outputs.chunks_exact_mut(len)) {
                let a = sample_of(weights, heads.squares(), sample);
                heads.outputs(a, part(v, projections, rows, sample), o);
            }
        });
        let o = Rows::new(outputs, d);
        affine_forward(ctx.executor, tensors.out_weight, tensors.out_bias, o, y.into_data());
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (rows, d, heads) = (pass.y.len(), self.features(), &self.heads);
        let tensors = self.tensors(theta);
        let Memory { projections, dprojections, weights, dscores, outputs, doutputs } =
            self.memory(pass.tape, rows);
        affine_backward(ctx.executor, tensors.out_weight, dy.as_rows().with_width(d), doutputs);

        let (projections, weights, outputs, doutputs) = (&*projections, &*weights, &*outputs, &*doutputs);
        let places = self.places();
        let len = self.inputs[0].len();
        let work = heads.square() * (heads.features + 2);
        for_each_item(ctx.executor, dscores, heads.square(), work, |first, dscores| {
            for (index, ds) in dscores.chunks_exact_mut(heads.square()).enumerate() {
                let (sample, head) = ((first + index) / heads.count, (first + index) % heads.count);
                let a = sample_of(weights, heads.square(), first + index);
                let v = part(places[2], projections, rows, sample);
                let o = (sample_of(outputs, len, sample), sample_of(doutputs, len, sample));
                heads.dscores(head, a, v, o, ds);
            }
        });

        let dscores = &*dscores;
        for own in self.projections() {
            let parts = own.width / d;
            let work = heads.squares() * heads.features * parts;
            let dprojection = own.of_mut(dprojections, rows);
            for_each_item(ctx.executor, dprojection, own.len(), work, |first, piece| {
                for (sample, dp) in (first..).zip(piece.chunks_exact_mut(own.len())) {
                    let ds = sample_of(dscores, heads.squares(), sample);
                    let a = sample_of(weights, heads.squares(), sample);
                    let d_o = Part { data: sample_of(doutputs, len, sample), stride: d, offset: 0 };
                    let [q, k, _] = places.map(|place| part(place, projections, rows, sample));
                    let holds = |(_, (place, _)): &(usize, (Projection, usize))| place.first == own.first;
                    for (index, (_, offset)) in places.into_iter().enumerate().filter(holds) {
                        let target = PartMut { data: dp, stride: own.width, offset };
                        match index {
                            0 => heads.dqueries(ds, k, target),
                            1 => heads.dkeys(ds, q, target),
                            _ => heads.dkeys(a, d_o, target),
                        }
                    }
                }
            });
        }
        for (own, dx) in self.projections().zip(dx) {
            if let Some(dx) = dx {
                let dz = Rows::new(own.of(dprojections, rows), own.width);
                affine_backward(ctx.executor, own.weight(tensors.in_weight), dz, dx.data());
            }
        }
    }

    fn accumulate(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (rows, d) = (pass.y.len(), self.features());
        let Memory { dprojections, outputs, .. } = self.memory(pass.tape, rows);
        let biases = usize::from(self.bias) * d;
        let (dw, rest) = dtheta.split_at_mut(3 * d * d);
        let (db, rest) = rest.split_at_mut(3 * biases);
        let (du_weight, du_bias) = rest.split_at_mut(d * d);
        for (own, x) in self.projections().zip(pass.inputs) {
            let dz = Rows::new(own.of(dprojections, rows), own.width);
            let dw = &mut dw[own.first * d..(own.first + own.width) * d];
            let db = if self.bias { &mut db[own.first..own.first + own.width] } else { &mut [] };
            affine_accumulate(ctx.executor, dz, x.with_width(d), dw, db);
        }
        let o = Rows::new(outputs, d);
        affine_accumulate(ctx.executor, dy.with_width(d), o, du_weight, du_bias);
    }
}
