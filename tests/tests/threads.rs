//! The same bits, whoever computes: for any number of threads, and in any order of the pieces of work.

use std::sync::atomic::{AtomicUsize, Ordering};

use chainrule_core::activation::{Gelu, Linear, Sigmoid, Tanh};
use chainrule_core::layers::{Graph, Multiply, Node, Source};
use chainrule_core::loss::{CrossEntropy, Mse};
use chainrule_core::matmul::Accumulate;
use chainrule_core::{
    Ctx, Draw, Executor, Float, Inline, Layer, Objective, Pass, Rows, RowsMut, Total, Workspace,
    initial_buffers, initialize, parameter_count,
};
use chainrule_runner::registry::Number;
use chainrule_tests::networks::{TOKENS, VOCABULARY, attentive, convolutional, recurrent};
use chainrule_tests::{Records, chain, classes, dense, numbers, vector};
use chainrule_trainer::optimizer::Clip;
use chainrule_trainer::schedule::Constant;
use chainrule_trainer::{
    Dataset, Evaluator, Forget, Order, Settings, Sgd, State, TargetData, Threads, Trainer, Values,
};

const THREADS: [usize; 5] = [1, 2, 3, 4, 8];

/// So much work that any number of threads is started.
const HUGE: usize = usize::MAX;

const INPUTS: usize = 131;
const CLASSES: usize = 11;

/// A batch that every product of the network cuts into tiles, the last of them shorter.
const BATCH: usize = 203;

/// Five batches and a ragged one; four parts of evaluation and a ragged one.
const SAMPLES: usize = 1100;

/// Two branches, multiplied, on one wide layer: all products are cut, and a gradient is the sum of two terms.
fn network<F: Float>() -> Box<dyn Layer<F>> {
    let node =
        |name: &str, layer: Box<dyn Layer<F>>, inputs: &[Source]| Node::new(name, layer, inputs.to_vec());
    let product = Multiply::new(&[vector(37), vector(37)]).unwrap();
    let nodes = vec![
        node("wide", dense(INPUTS, 301, Gelu::exact()), &[Source::Input(0)]),
        node("left", dense(301, 37, Tanh), &[Source::Node(0)]),
        node("right", dense(301, 37, Sigmoid), &[Source::Node(0)]),
        node("product", Box::new(product), &[Source::Node(1), Source::Node(2)]),
        node("output", dense(37, CLASSES, Linear), &[Source::Node(3)]),
    ];
    Box::new(Graph::new(vec![vector(INPUTS)], nodes).unwrap())
}

fn objective<F: Float>() -> Objective<F> {
    Objective::new(network(), Box::new(CrossEntropy::new(CLASSES))).unwrap()
}

fn dataset<F: Float>(samples: usize) -> Dataset<F> {
    let targets = TargetData::Classes { data: classes(samples, CLASSES as u32, 1), per_sample: 1 };
    Dataset::new(numbers(samples * INPUTS, 2), INPUTS, targets).unwrap()
}

fn start_values<F: Float>(objective: &Objective<F>) -> Vec<F> {
    let parameters = objective.parameters();
    let mut theta = vec![F::zero(); parameter_count(&parameters).unwrap()];
    initialize(&parameters, &mut theta, 3);
    theta
}

/// Of both types, since `f64` holds every `f32`.
fn bits<F: Float>(numbers: &[F]) -> Vec<u64> {
    numbers.iter().map(|number| number.as_f64().to_bits()).collect()
}

/// The bits of the parameters and of all recorded losses after two epochs.
fn trained<F: Float>(objective: &Objective<F>, data: [&Dataset<F>; 2], count: usize) -> [Vec<u64>; 2] {
    let threads = Threads::for_work(count, HUGE).unwrap();
    assert_eq!(threads.count(), count);
    let trainer = Trainer {
        objective,
        train: data[0],
        validation: Some(data[1]),
        scoring: None,
        optimizer: &Sgd::new().with_momentum(0.9),
        schedule: &Constant(0.1),
        settings: Settings {
            order: Order::Shuffled { seed: 5 },
            clip: Clip { norm: Some(0.05), value: None },
            evaluate_train: true,
            ..Settings::new(2, BATCH)
        },
        threads: &threads,
        interrupt: None,
    };
    let mut state = State::new(start_values(objective), Vec::new(), trainer.optimizer);
    let mut records = Records::default();
    trainer.fit(&mut state, &mut records, &mut Forget).unwrap();
    let theta = state.theta;
    let losses = records.0.iter().flat_map(|record| {
        let evaluated = [record.train_loss, record.validation_loss].map(|loss| loss.expect("asked for"));
        [record.running_loss, evaluated[0], evaluated[1]]
    });
    let losses: Vec<f64> = losses.collect();
    assert_eq!(losses.len(), 6);
    assert!(losses[4] < losses[1], "training changes the loss: {losses:?}");
    [bits(&theta), bits(&losses)]
}

fn assert_threads_do_not_change_training<F: Float>() {
    let objective = objective::<F>();
    let (train, validation) = (dataset(SAMPLES), dataset(300));
    let [theta, losses] = trained(&objective, [&train, &validation], THREADS[0]);
    for count in THREADS {
        let [other_theta, other_losses] = trained(&objective, [&train, &validation], count);
        assert!(theta == other_theta, "{count} threads give other parameters in {}", F::NAME);
        assert_eq!(losses, other_losses, "{count} threads, {}", F::NAME);
    }
}

#[test]
fn any_number_of_threads_trains_to_the_same_bits_in_f32() {
    assert_threads_do_not_change_training::<f32>();
}

#[test]
fn any_number_of_threads_trains_to_the_same_bits_in_f64() {
    assert_threads_do_not_change_training::<f64>();
}

/// A small net on many samples: ten parts, which 3, 4 and 8 threads cannot share evenly.
fn assert_threads_do_not_change_evaluation<F: Float>() {
    /// Samples in a part, the trainer's own choice.
    const PART: usize = 256;
    const SAMPLES: usize = 9 * PART + 101;
    let network = chain(vec![("hidden", dense(INPUTS, 17, Gelu::tanh())), ("output", dense(17, 5, Tanh))]);
    let objective = Objective::<F>::new(network, Box::new(Mse)).unwrap();
    let targets = TargetData::Values { data: numbers(SAMPLES * 5, 6), width: 5 };
    let data = Dataset::new(numbers(SAMPLES * INPUTS, 7), INPUTS, targets).unwrap();
    let theta = start_values(&objective);

    let mut workspace = Workspace::new(objective.network(), PART).unwrap();
    let mut serial = Total::default();
    for start in (0..SAMPLES).step_by(PART) {
        let (inputs, targets) = data.batch(start..(start + PART).min(SAMPLES));
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        serial += objective.value(&theta, &[inputs], targets, &mut workspace, ctx);
    }
    assert_eq!(serial.terms, (SAMPLES * 5) as f64);

    for count in THREADS {
        let threads = Threads::for_work(count, HUGE).unwrap();
        let mut evaluator = Evaluator::new(&objective, SAMPLES, threads.count()).unwrap();
        // Twice: what an evaluation leaves in its memory must not reach the next.
        for _ in 0..2 {
            let total = threads.run(|_: &dyn Executor<F>| {
                evaluator.totals(&objective, Values { theta: &theta, buffers: &[] }, &data)[0]
            });
            let found = [total.sum.to_bits(), total.terms.to_bits()];
            assert_eq!(found, [serial.sum, serial.terms].map(f64::to_bits), "{count} threads, {}", F::NAME);
        }
    }
}

#[test]
fn evaluation_is_the_sum_by_parts_to_the_bit_on_any_number_of_threads() {
    assert_threads_do_not_change_evaluation::<f32>();
    assert_threads_do_not_change_evaluation::<f64>();
}

/// Runs chunks on the calling thread in another order, and counts the works that had several.
#[derive(Default)]
struct Disordered {
    /// Jumps back and forth; otherwise goes from the last chunk to the first.
    jumps: bool,
    cuts: AtomicUsize,
}

impl Disordered {
    fn disorder<T>(&self, pieces: &mut [T], index: impl Fn(&T) -> usize) {
        if pieces.len() > 1 {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
        pieces.reverse();
        if self.jumps {
            // 5, 1, 4, 0, 3, 6, 2.
            pieces.sort_by_key(|piece| (index(piece) * 5 + 3) % 7);
        }
    }
}

impl<F> Executor<F> for Disordered {
    fn for_each_chunk(&self, data: &mut [F], chunk: usize, work: &(dyn Fn(usize, &mut [F]) + Sync)) {
        let mut chunks: Vec<_> = data.chunks_mut(chunk).enumerate().collect();
        self.disorder(&mut chunks, |(index, _)| *index);
        for (index, piece) in chunks {
            work(index, piece);
        }
    }

    fn for_each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let mut indices: Vec<usize> = (0..count).collect();
        self.disorder(&mut indices, |index| *index);
        indices.into_iter().for_each(work);
    }
}

/// The parameters after three steps on one batch.
fn stepped<F: Float>(objective: &Objective<F>, data: &Dataset<F>, executor: &dyn Executor<F>) -> Vec<u64> {
    let (inputs, targets) = data.batch(0..BATCH);
    let mut theta = start_values(objective);
    let mut workspace = Workspace::new(objective.network(), BATCH).unwrap();
    let mut gradient = vec![F::nan(); theta.len()];
    for _ in 0..3 {
        let ctx = &mut Ctx::evaluate(executor, &[]);
        let inputs = &[inputs];
        objective.gradient(&theta, inputs, targets, &mut gradient, &mut [None], &mut workspace, ctx);
        theta.iter_mut().zip(&gradient).for_each(|(theta, &gradient)| *theta -= F::of(0.1) * gradient);
    }
    bits(&theta)
}

fn assert_order_does_not_change_steps<F: Float>() {
    let (objective, data) = (objective::<F>(), dataset(BATCH));
    let expected = stepped(&objective, &data, &Inline);
    for jumps in [false, true] {
        let executor = Disordered { jumps, ..Disordered::default() };
        assert!(expected == stepped(&objective, &data, &executor), "jumps: {jumps}, {}", F::NAME);
        // Ten works a step at the present size of tiles: the sums of three layers, gelu and its derivative,
        // two gradients by inputs, three by weights.
        let cuts = executor.cuts.into_inner();
        assert!(cuts >= 3 * 8, "only {cuts} works were cut, which proves little");
    }
}

#[test]
fn the_order_of_the_pieces_does_not_change_a_bit() {
    assert_order_does_not_change_steps::<f32>();
    assert_order_does_not_change_steps::<f64>();
}

/// The bits of a pass there and back, as it trains, on `count` threads: outputs, both gradients, running statistics.
fn passed<F: Number>(network: &dyn Layer<F>, x: &[F], rows: usize, count: usize) -> [Vec<u64>; 4] {
    let mut theta = vec![F::zero(); parameter_count(&network.parameters()).unwrap()];
    initialize(&network.parameters(), &mut theta, 4);
    let mut buffers = initial_buffers(&network.buffers());
    let (inputs, width) = ([Rows::new(x, x.len() / rows)], network.output_shape().len());
    let mut y = vec![F::nan(); rows * width];
    let mut dy = numbers(rows * width, 8);
    let mut dx = vec![F::nan(); x.len()];
    let mut dtheta = vec![F::nan(); theta.len()];
    let mut tape = vec![F::nan(); network.tape().for_rows(rows)];
    let threads = Threads::for_work(count, HUGE).unwrap();
    assert_eq!(threads.count(), count);
    threads.run(|executor: &dyn Executor<F>| {
        let ctx = &mut Ctx::train(executor, &mut buffers, Draw::new(0, 0));
        network.forward(&theta, &inputs, RowsMut::new(&mut y, width), &mut tape, ctx);
        let y = Rows::new(&y, width);
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        let asked = &mut [Some(RowsMut::new(&mut dx, x.len() / rows))];
        network.backward(&theta, pass, RowsMut::new(&mut dy, width), asked, ctx);
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        network.parameter_gradient(
            Accumulate::Replace,
            &theta,
            pass,
            Rows::new(&dy, width),
            &mut dtheta,
            ctx,
        );
    });
    [bits(&y), bits(&dx), bits(&dtheta), bits(&buffers)]
}

fn assert_threads_do_not_change_passes<F: Number>() {
    const ROWS: usize = 9;
    let images = numbers(ROWS * 3 * 32 * 32, 1);
    let series = numbers(ROWS * 17 * 33, 2);
    let tokens: Vec<F> =
        classes(ROWS * TOKENS, VOCABULARY as u32, 3).into_iter().map(|c| F::of(c.into())).collect();
    for (name, network, x) in [
        ("convolutional", convolutional::<F>(), images),
        ("recurrent", recurrent(), series),
        ("attentive", attentive(), tokens),
    ] {
        let expected = passed(network.as_ref(), &x, ROWS, THREADS[0]);
        assert!(expected.iter().flatten().all(|bits| f64::from_bits(*bits).is_finite()), "{name}");
        for count in &THREADS[1..] {
            let found = passed(network.as_ref(), &x, ROWS, *count);
            assert!(found == expected, "{name}, {count} threads, {}", F::NAME);
        }
    }
}

#[test]
fn any_number_of_threads_passes_convolutions_recurrences_and_attention_to_the_same_bits() {
    assert_threads_do_not_change_passes::<f32>();
    assert_threads_do_not_change_passes::<f64>();
}
