//! Forward, backward and accumulate of one layer, on one thread: `cargo bench -p chainrule-benches --bench layers -- lstm`.

use std::time::Duration;

use chainrule_core::activation::{Gelu, Relu, Sigmoid, Softmax, Tanh};
use chainrule_core::layers::Activate;
use chainrule_core::matmul::Accumulate;
use chainrule_core::random::{self, Purpose};
use chainrule_core::{
    Activation, Ctx, Draw, Inline, Layer, Pass, Rows, RowsMut, Shape, initial_buffers, initialize,
    parameter_count,
};
use chainrule_runner::gradcheck::build_layer;
use chainrule_runner::registry::Registry;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use ndarray_rand::rand::Rng;

/// Name, keys as in an experiment file, shape of a sample, samples in the batch.
type Case = (&'static str, &'static str, &'static [usize], usize);

/// The layers of the compared workloads, and one of every family at a common size.
const CASES: [Case; 18] = [
    ("dense_784_128", "type = 'dense'\nunits = 128", &[784], 64),
    ("dense_1024_1024", "type = 'dense'\nunits = 1024", &[1024], 256),
    ("dense_64_64", "type = 'dense'\nunits = 64", &[64], 32),
    ("conv1d_16_32", "type = 'conv1d'\nfilters = 32\nkernel_size = 5\npadding = 2", &[16, 128], 64),
    ("conv2d_1_6", "type = 'conv2d'\nfilters = 6\nkernel_size = 5\npadding = 2", &[1, 28, 28], 64),
    ("conv2d_6_16", "type = 'conv2d'\nfilters = 16\nkernel_size = 5", &[6, 14, 14], 64),
    (
        "conv2d_depthwise_32",
        "type = 'conv2d'\nfilters = 32\nkernel_size = 3\npadding = 1\ngroups = 32",
        &[32, 14, 14],
        64,
    ),
    (
        "conv_transpose2d_16_8",
        "type = 'conv_transpose2d'\nfilters = 8\nkernel_size = 4\nstride = 2\npadding = 1",
        &[16, 7, 7],
        64,
    ),
    ("max_pool2d", "type = 'max_pool2d'\npool_size = 2", &[6, 28, 28], 64),
    ("avg_pool2d", "type = 'avg_pool2d'\npool_size = 2", &[6, 28, 28], 64),
    ("batch_norm", "type = 'batch_norm'", &[16, 28, 28], 64),
    ("layer_norm", "type = 'layer_norm'", &[64, 64], 32),
    ("dropout", "type = 'dropout'\nrate = 0.5", &[1024], 64),
    ("embedding", "type = 'embedding'\nvocabulary = 256\nunits = 64", &[64], 32),
    ("lstm_64", "type = 'lstm'\nunits = 64", &[32, 64], 32),
    ("gru_64", "type = 'gru'\nunits = 64", &[32, 64], 32),
    ("multi_head_attention_64", "type = 'multi_head_attention'\nheads = 4\ncausal = true", &[64, 64], 32),
    ("transformer_block_64", "type = 'transformer_block'\nheads = 4\ncausal = true", &[64, 64], 32),
];

/// Rows and columns that activations go over.
const ACTIVATED: (usize, usize) = (64, 1024);

/// A layer with all that is lent to it.
struct Bench {
    layer: Box<dyn Layer<f32>>,
    theta: Vec<f32>,
    buffers: Vec<f32>,
    inputs: Vec<Vec<f32>>,
    y: Vec<f32>,
    /// What the layers above pass on; `backward` may change the copy that it is lent.
    dy: Vec<f32>,
    dx: Vec<Vec<f32>>,
    dtheta: Vec<f32>,
    tape: Vec<f32>,
}

fn numbers(len: usize, position: u64) -> Vec<f32> {
    let mut rng = random::generator(0, Purpose::Synthetic, 0, position);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

impl Bench {
    fn new(layer: Box<dyn Layer<f32>>, rows: usize) -> Self {
        let parameters = layer.parameters();
        let mut theta = vec![0.0; parameter_count(&parameters).expect("a count")];
        initialize(&parameters, &mut theta, 0);
        let input = |(index, shape): (usize, Shape)| match layer.index_limit() {
            Some(limit) => (0..rows * shape.len()).map(|at| (at * 37 % limit) as f32).collect(),
            None => numbers(rows * shape.len(), index as u64 + 1),
        };
        let inputs: Vec<Vec<f32>> = layer.input_shapes().into_iter().enumerate().map(input).collect();
        let outputs = rows * layer.output_shape().len();
        Self {
            buffers: initial_buffers(&layer.buffers()),
            dx: inputs.clone(),
            dtheta: vec![0.0; theta.len()],
            tape: vec![0.0; layer.tape().for_rows(rows)],
            y: vec![0.0; outputs],
            dy: numbers(outputs, 0),
            layer,
            theta,
            inputs,
        }
    }

    fn forward(&mut self) {
        let shapes = self.layer.input_shapes();
        let inputs: Vec<Rows<'_, f32>> =
            self.inputs.iter().zip(&shapes).map(|(x, shape)| Rows::new(x, shape.len())).collect();
        let y = RowsMut::new(&mut self.y, self.layer.output_shape().len());
        let ctx = &mut Ctx::train(&Inline, &mut self.buffers, Draw::new(0, 0));
        self.layer.forward(&self.theta, &inputs, y, &mut self.tape, ctx);
    }

    /// The way back over what a forward pass has left, with a fresh `dy`.
    fn backward(&mut self, dy: &mut [f32], part: Part) {
        let shapes = self.layer.input_shapes();
        let inputs: Vec<Rows<'_, f32>> =
            self.inputs.iter().zip(&shapes).map(|(x, shape)| Rows::new(x, shape.len())).collect();
        let width = self.layer.output_shape().len();
        let y = Rows::new(&self.y, width);
        let ctx = &mut Ctx::train(&Inline, &mut self.buffers, Draw::new(0, 0));
        let pass = Pass { inputs: &inputs, y, tape: &mut self.tape };
        match part {
            Part::Backward => {
                // Nobody asks for a gradient by an index.
                let asked = self.layer.index_limit().is_none();
                let dx = self.dx.iter_mut().zip(&shapes);
                let mut dx: Vec<Option<RowsMut<'_, f32>>> =
                    dx.map(|(dx, shape)| asked.then(|| RowsMut::new(dx, shape.len()))).collect();
                self.layer.backward(&self.theta, pass, RowsMut::new(dy, width), &mut dx, ctx);
            }
            Part::Accumulate => {
                self.layer.parameter_gradient(
                    Accumulate::Replace,
                    &self.theta,
                    pass,
                    Rows::new(dy, width),
                    &mut self.dtheta,
                    ctx,
                );
            }
        }
    }

    /// Times the three methods; a way back that consumes its tape is given a new one, untimed.
    fn run(mut self, name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
        group.bench_function(format!("{name}/forward"), |bencher| bencher.iter(|| self.forward()));
        group.bench_function(format!("{name}/backward"), |bencher| {
            bencher.iter_custom(|times| self.timed(times, Part::Backward));
        });
        if self.theta.is_empty() {
            return;
        }
        group.bench_function(format!("{name}/accumulate"), |bencher| {
            bencher.iter_custom(|times| self.timed(times, Part::Accumulate));
        });
    }

    /// The seconds of one part of the way back, so many times.
    fn timed(&mut self, times: u64, part: Part) -> Duration {
        let mut dy = self.dy.clone();
        let mut total = Duration::ZERO;
        for _ in 0..times {
            self.forward();
            dy.copy_from_slice(&self.dy);
            if part == Part::Accumulate {
                self.backward(&mut dy, Part::Backward);
            }
            let start = std::time::Instant::now();
            self.backward(&mut dy, part);
            total += start.elapsed();
        }
        total
    }
}

/// A half of the way back.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Backward,
    Accumulate,
}

fn layers(criterion: &mut Criterion) {
    let registry = Registry::standard();
    let mut group = criterion.benchmark_group("layer");
    for (name, keys, shape, rows) in CASES {
        let shape = Shape::new(shape.to_vec()).expect("a shape");
        let layer = build_layer::<f32>(&registry, keys, &[shape]);
        let layer = layer.unwrap_or_else(|message| panic!("{name}: {message}"));
        Bench::new(layer, rows).run(name, &mut group);
    }
    group.finish();
}

fn activations(criterion: &mut Criterion) {
    let (rows, columns) = ACTIVATED;
    let shape = Shape::vector(columns).expect("a shape");
    let activations: [(&str, Box<dyn Activation<f32>>); 5] = [
        ("relu", Box::new(Relu)),
        ("sigmoid", Box::new(Sigmoid)),
        ("tanh", Box::new(Tanh)),
        ("gelu", Box::new(Gelu::exact())),
        ("softmax", Box::new(Softmax::new(columns))),
    ];
    let mut group = criterion.benchmark_group("activation");
    for (name, activation) in activations {
        Bench::new(Box::new(Activate::new(&shape, activation)), rows).run(name, &mut group);
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    layers(&mut criterion);
    activations(&mut criterion);
    criterion.final_summary();
}
