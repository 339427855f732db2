//! A warm training step allocates nothing, its matrix products included.

#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait, and only an allocator sees every allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use chainrule_core::activation::{
    Elu, Gelu, HardSigmoid, HardTanh, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Softmax, Softplus,
    Softsign, Tanh,
};
use chainrule_core::layers::{Activate, Add, Concat, Dense, Graph, Multiply, Node, Source};
use chainrule_core::loss::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CrossEntropy, Hinge, Huber, KlDivergence, Mae, Mse,
};
use chainrule_core::{
    Activation, Ctx, Derivation, Float, Inline, Layer, Loss, Objective, Parameter, Pass, Rows, RowsMut,
    Shape, TargetKind, Workspace, initialize, parameter_count,
};
use chainrule_tests::{chain, classes, dense, numbers, vector};
use chainrule_trainer::optimizer::{Clip, DecayOn, Memory, Moments, groups, update};
use chainrule_trainer::schedule::{Cosine, Warmup};
use chainrule_trainer::{
    Adadelta, Adagrad, Adam, Adamax, AmsGrad, Dataset, Forget, Lbfgs, Lion, Nadam, Optimizer, Order, RmsProp,
    Rprop, Settings, Sgd, Silent, State, TargetData, Threads, Trainer,
};

thread_local! {
    // Neither needs a destructor or a first use, so the allocator may read them at any time.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static SEEN: Cell<usize> = const { Cell::new(0) };
}

struct Watched;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

// Growing and zeroing, by the trait's own definitions, pass through `alloc` too.
// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts one allocation of the calling thread.
fn note() {
    if WATCHING.get() {
        SEEN.set(SEEN.get() + 1);
    }
}

/// How many allocations `work` makes.
fn counted<T>(work: impl FnOnce() -> T) -> usize {
    SEEN.set(0);
    WATCHING.set(true);
    let result = work();
    WATCHING.set(false);
    drop(result);
    SEEN.get()
}

/// The lengths of a net's layers and of a batch.
#[derive(Clone, Copy)]
struct Size {
    inputs: usize,
    hidden: usize,
    rows: usize,
}

/// Every product is below the size from which the kernel is worth calling.
const SMALL: Size = Size { inputs: 3, hidden: 4, rows: 5 };

/// Every product is above it.
const LARGE: Size = Size { inputs: 40, hidden: 50, rows: 24 };

const OUTPUTS: usize = 3;

/// A hidden layer with `activation`, an activation of its own, an output layer.
fn line<F: Float>(size: Size, activation: impl Activation<F> + 'static) -> Box<dyn Layer<F>> {
    chain(vec![
        ("hidden", dense(size.inputs, size.hidden, activation)),
        ("alone", Box::new(Activate::new(&vector(size.hidden), Box::new(Softsign)))),
        ("output", dense(size.hidden, OUTPUTS, Linear)),
    ])
}

/// Dense layers and nothing else, through which one row goes in one loop.
fn neurons<F: Float>(size: Size) -> Box<dyn Layer<F>> {
    chain(vec![
        ("hidden", dense(size.inputs, 3, Sigmoid)),
        ("next", dense(3, 4, Sigmoid)),
        ("output", dense(4, OUTPUTS, Linear)),
    ])
}

/// Outputs that are read several times, added, multiplied and joined.
fn graph<F: Float>(size: Size) -> Box<dyn Layer<F>> {
    let hidden = vector(size.hidden);
    let pair = [hidden.clone(), hidden];
    let joined = Concat::new(&pair, 0).unwrap();
    let output = dense(Layer::<F>::output_shape(&joined).len(), OUTPUTS, Sigmoid);
    let node =
        |name: &str, layer: Box<dyn Layer<F>>, inputs: &[Source]| Node::new(name, layer, inputs.to_vec());
    let nodes = vec![
        node("left", dense(size.inputs, size.hidden, Tanh), &[Source::Input(0)]),
        node("right", dense(size.inputs, size.hidden, Gelu::exact()), &[Source::Input(0)]),
        node("sum", Box::new(Add::new(&pair).unwrap()), &[Source::Node(0), Source::Node(1)]),
        node("product", Box::new(Multiply::new(&pair).unwrap()), &[Source::Node(0), Source::Node(2)]),
        node("joined", Box::new(joined), &[Source::Node(3), Source::Node(1)]),
        node("output", output, &[Source::Node(4)]),
    ];
    Box::new(Graph::new(vec![vector(size.inputs)], nodes).unwrap())
}

fn networks<F: Float>(size: Size) -> Vec<Box<dyn Layer<F>>> {
    let without_bias = Dense::new(&vector(size.inputs), OUTPUTS, Box::new(Relu)).unwrap().without_bias();
    vec![
        line(size, Elu::new(1.0)),
        line(size, Gelu::exact()),
        line(size, Gelu::tanh()),
        line(size, HardSigmoid),
        line(size, HardTanh),
        line(size, LeakyRelu::new(0.01)),
        line(size, Linear),
        line(size, Relu),
        line(size, Selu),
        line(size, Sigmoid),
        line(size, Silu),
        line(size, Softmax::new(size.hidden)),
        line(size, Softplus),
        line(size, Softsign),
        line(size, Tanh),
        Box::new(without_bias),
        chain(vec![("inner", line(size, Sigmoid)), ("outer", dense(OUTPUTS, OUTPUTS, Silu))]),
        graph(size),
    ]
}

fn losses<F: Float>() -> Vec<Box<dyn Loss<F>>> {
    vec![
        Box::new(BinaryCrossEntropy),
        Box::new(BinaryCrossEntropyWithLogits),
        Box::new(CrossEntropy::new(OUTPUTS)),
        Box::new(CrossEntropy::new(OUTPUTS).with_smoothing(0.1)),
        Box::new(Hinge),
        Box::new(Huber),
        Box::new(KlDivergence::new(OUTPUTS)),
        Box::new(Mae),
        Box::new(Mse),
    ]
}

/// Every network with the squared error, every loss with the graph, whose outputs are probabilities.
fn objectives<F: Float>(size: Size) -> Vec<Objective<F>> {
    let by_network = networks(size).into_iter().map(|network| Objective::new(network, Box::new(Mse)));
    let by_loss = losses().into_iter().map(|loss| Objective::new(graph(size), loss));
    by_network.chain(by_loss).map(Result::unwrap).collect()
}

fn dataset<F: Float>(objective: &Objective<F>, rows: usize) -> Dataset<F> {
    let width = objective.input_shapes()[0].len();
    let targets = match objective.loss().outputs()[0].loss.target_kind() {
        TargetKind::Values => {
            let halved = |number: F| F::of(0.5 + number.as_f64() / 2.0);
            let data = numbers(rows * OUTPUTS, 2).into_iter().map(halved).collect();
            TargetData::Values { data, width: OUTPUTS }
        }
        TargetKind::Classes(count) => {
            TargetData::Classes { data: classes(rows, count as u32, 2), per_sample: 1 }
        }
    };
    Dataset::new(numbers(rows * width, 1), width, targets).unwrap()
}

fn start_values<F: Float>(objective: &Objective<F>) -> Vec<F> {
    let parameters = objective.parameters();
    let mut theta = vec![F::zero(); parameter_count(&parameters).unwrap()];
    initialize(&parameters, &mut theta, 3);
    theta
}

/// The allocations of a second step.
fn warm_step<F: Float>(objective: &Objective<F>, optimizer: &dyn Optimizer<F>, rows: usize) -> usize {
    let data = dataset(objective, rows);
    let (inputs, targets) = data.batch(0..rows);
    let mut theta = start_values(objective);
    let mut gradient = vec![F::zero(); theta.len()];
    let mut memory = Memory::new(optimizer, theta.len());
    let mut workspace = Workspace::new(objective.network(), rows).unwrap();
    let groups = groups(&objective.parameters(), DecayOn::All, &[]);
    let mut step = |number| {
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        let inputs = &[inputs];
        let total =
            objective.gradient(&theta, inputs, targets, &mut gradient, &mut [None], &mut workspace, ctx);
        assert!(total.sum.is_finite());
        update(&Inline, optimizer, &groups, (number, 0.01), (&mut theta, &mut gradient), &mut memory);
    };
    step(1);
    counted(|| step(2))
}

fn heavy() -> Sgd {
    Sgd::new().with_momentum(0.9).with_weight_decay(0.01)
}

fn optimizers<F: Float>() -> Vec<Box<dyn Optimizer<F>>> {
    vec![
        Box::new(Sgd::new()),
        Box::new(heavy()),
        Box::new(heavy().with_nesterov().unwrap()),
        Box::new(Adam::new()),
        Box::new(Adam::decoupled()),
        Box::new(RmsProp::new()),
        Box::new(RmsProp::new().with_momentum(0.9).centered()),
        Box::new(Adagrad::new()),
        Box::new(Adadelta::new()),
        Box::new(AmsGrad::new(Moments::default())),
        Box::new(Nadam::new(Moments::default(), 4e-3)),
        Box::new(Adamax::new(Moments::default())),
        Box::new(Lbfgs::new()),
        Box::new(Lion::new()),
        Box::new(Rprop::new()),
    ]
}

/// The allocations of a whole run over a ragged number of samples, evaluated in every epoch.
fn run<F: Float>(objective: &Objective<F>, size: Size, settings: Settings) -> usize {
    let train = dataset(objective, 3 * size.rows + 2);
    let validation = dataset(objective, size.rows);
    let mut state = State::new(start_values(objective), objective.start_buffers(), &heavy());
    let trainer = Trainer {
        objective,
        train: &train,
        validation: Some(&validation),
        scoring: None,
        optimizer: &Sgd::new().with_momentum(0.9),
        schedule: &Warmup::new(Box::new(Cosine::new(0.01, 0.0, 50)), 3, 0.0),
        settings,
        threads: &Threads::one(),
        interrupt: None,
    };
    counted(|| {
        trainer.fit(&mut state, &mut Silent, &mut Forget).map(drop).expect("a loss that stays finite");
    })
}

/// With all that may be done before a step and after it.
fn full(order: Order, epochs: u64, rows: usize) -> Settings {
    Settings {
        order,
        clip: Clip { norm: Some(1.0), value: Some(1.0) },
        decay_on: DecayOn::Weights,
        l1: 1e-3,
        max_norm: Some(0.5),
        evaluate_train: true,
        ..Settings::new(epochs, rows)
    }
}

/// Steps on one sample each and nothing else.
fn plain(order: Order, epochs: u64) -> Settings {
    Settings { order, ..Settings::new(epochs, 1) }
}

const ORDERS: [Order; 2] = [Order::Fixed, Order::Shuffled { seed: 4 }];

fn assert_steps_allocate_nothing<F: Float>() {
    for size in [SMALL, LARGE] {
        for objective in objectives::<F>(size) {
            assert_eq!(warm_step(&objective, &heavy(), size.rows), 0, "{objective:?}");
        }
    }
}

#[test]
fn a_warm_step_allocates_nothing() {
    assert_steps_allocate_nothing::<f32>();
    assert_steps_allocate_nothing::<f64>();
    let objective = Objective::<f64>::new(neurons(SMALL), Box::new(Mse)).unwrap();
    assert_eq!(warm_step(&objective, &heavy(), 1), 0);
}

#[test]
fn no_optimizer_allocates() {
    let objective = Objective::<f64>::new(line(SMALL, Tanh), Box::new(Mse)).unwrap();
    for optimizer in optimizers::<f64>() {
        assert_eq!(warm_step(&objective, optimizer.as_ref(), SMALL.rows), 0, "{optimizer:?}");
    }
}

/// The objectives of whole runs: one loss for each kind of target.
fn trained<F: Float>(size: Size) -> [Objective<F>; 2] {
    let classified = Objective::new(line(size, Gelu::exact()), Box::new(CrossEntropy::new(OUTPUTS)));
    [Objective::new(graph(size), Box::new(Mse)).unwrap(), classified.unwrap()]
}

fn assert_epochs_allocate_nothing<F: Float>(size: Size, epochs: u64) {
    for objective in trained::<F>(size) {
        for order in ORDERS {
            // The kernel's first product asks the machine once what it can.
            run(&objective, size, full(order, 1, size.rows));
            let few = run(&objective, size, full(order, 2, size.rows));
            assert!(few > 0, "the buffers of a run are counted");
            let many = run(&objective, size, full(order, epochs, size.rows));
            assert_eq!(few, many, "{order:?}, {objective:?}");
        }
    }
}

#[test]
fn a_run_allocates_no_more_over_many_epochs_than_over_few() {
    assert_epochs_allocate_nothing::<f64>(SMALL, 200);
    assert_epochs_allocate_nothing::<f32>(LARGE, 20);
    let objective = Objective::<f64>::new(neurons(SMALL), Box::new(Mse)).unwrap();
    for order in ORDERS {
        assert_eq!(run(&objective, SMALL, plain(order, 2)), run(&objective, SMALL, plain(order, 200)));
    }
}

/// `y = x`, by way of a copy in memory of its own.
#[derive(Debug)]
struct Wasteful(Shape);

impl<F: Float> Layer<F> for Wasteful {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.0.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.0
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        Derivation::new([("x", &self.0)])
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        _tape: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
        // The black box keeps the compiler from seeing through the copy.
        y.data().copy_from_slice(&black_box(inputs[0].data().to_vec()));
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        if let Some(dx) = &mut dx[0] {
            dx.data().copy_from_slice(dy.as_rows().data());
        }
    }

    fn accumulate(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        _dy: Rows<'_, F>,
        _dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
    }
}

fn wasteful(size: Size) -> Objective<f64> {
    let network = chain(vec![
        ("hidden", dense(size.inputs, size.hidden, Tanh)),
        ("wasteful", Box::new(Wasteful(vector(size.hidden)))),
        ("output", dense(size.hidden, OUTPUTS, Linear)),
    ]);
    Objective::new(network, Box::new(Mse)).unwrap()
}

#[test]
fn a_layer_that_allocates_is_caught() {
    assert_eq!(counted(|| black_box(vec![0u8; 1])), 1);
    for size in [SMALL, LARGE] {
        assert_eq!(warm_step(&wasteful(size), &Sgd::new(), size.rows), 1);
        let few = run(&wasteful(size), size, full(Order::Fixed, 2, size.rows));
        let many = run(&wasteful(size), size, full(Order::Fixed, 3, size.rows));
        // Four batches, and one part each of the training and of the validation set.
        assert_eq!(many - few, 4 + 2);
    }
}
