//! Layers and whole networks against PyTorch: `tests/golden/generate.py` made the numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chainrule_core::{Ctx, Draw, Float, Inline, Layer, Pass, Rows, RowsMut, Shape, initial_buffers};
use chainrule_runner::gradcheck::build_layer;
use chainrule_runner::registry::{Number, Registry};
use chainrule_tests::runner::Runner;
use safetensors::SafeTensors;

/// Norm-relative; gradients that are zero in mathematics are compared absolutely with it.
const F64: f64 = 1e-9;
const F32: f64 = 1e-4;

/// Types that PyTorch has nothing to compare with in training: they draw random numbers.
const RANDOM: [&str; 3] = ["dropout", "spatial_dropout", "gaussian_noise"];

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder)
}

/// The tensors of a safetensors file by name, and its metadata.
struct Fixture {
    name: String,
    tensors: BTreeMap<String, Vec<f64>>,
    metadata: BTreeMap<String, String>,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a fixture");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("its header");
        let numbers = |data: &[u8], dtype| -> Vec<f64> {
            match dtype {
                safetensors::Dtype::F64 => {
                    data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
                }
                safetensors::Dtype::F32 => data
                    .chunks_exact(4)
                    .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                    .collect(),
                other => panic!("{path:?} holds {other:?}"),
            }
        };
        let tensors =
            file.iter().map(|(name, view)| (name.to_owned(), numbers(view.data(), view.dtype()))).collect();
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), tensors, metadata }
    }

    fn of<F: Float>(&self, name: &str) -> Vec<F> {
        let found = self.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name));
        found.iter().map(|&number| F::of(number)).collect()
    }

    /// The tensors `prefix.NAME` in the order of `names`, one after the other.
    fn joined<F: Float>(&self, prefix: &str, names: &[String]) -> Vec<F> {
        let with_prefix = self.tensors.keys().filter(|key| key.starts_with(&format!("{prefix}."))).count();
        assert_eq!(with_prefix, names.len(), "{}: {prefix} of {names:?}", self.name);
        names.iter().flat_map(|name| self.of::<F>(&format!("{prefix}.{name}"))).collect()
    }
}

fn fixtures(folder: &str) -> Vec<Fixture> {
    let mut paths: Vec<PathBuf> = fs::read_dir(golden(folder))
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Fixture::read(path)).collect()
}

fn assert_near<F: Float>(what: &str, found: &[F], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let norm = expected.iter().map(|number| number * number).sum::<f64>().sqrt();
    let error = found.iter().zip(expected).map(|(found, expected)| (found.as_f64() - expected).powi(2));
    let error = error.sum::<f64>().sqrt();
    // What is zero in mathematics has a norm of rounding errors: it is compared absolutely.
    let bound = if norm < 1e-10 { tolerance } else { tolerance * norm };
    assert!(error <= bound, "{what}: off by {error:e}, of a norm of {norm:e}");
}

fn input_shapes(fixture: &Fixture) -> Vec<Shape> {
    let axes: Vec<Vec<usize>> = serde_json::from_str(&fixture.metadata["inputs"]).expect("shapes");
    axes.into_iter().map(|axes| Shape::new(axes).expect("a shape")).collect()
}

/// Forward, both halves of the way back and the running statistics equal PyTorch's.
fn check_layer<F: Number>(fixture: &Fixture, registry: &Registry, tolerance: f64) {
    let shapes = input_shapes(fixture);
    let layer: Box<dyn Layer<F>> = build_layer(registry, &fixture.metadata["keys"], &shapes)
        .unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
    let names: Vec<String> = layer.parameters().into_iter().map(|parameter| parameter.name).collect();
    let buffer_names: Vec<String> = layer.buffers().into_iter().map(|buffer| buffer.name).collect();
    let theta = fixture.joined::<F>("param", &names);
    let start = fixture.joined::<F>("buffer", &buffer_names);
    assert_eq!(start.len(), initial_buffers::<F>(&layer.buffers()).len());
    let mut buffers = start.clone();
    let inputs: Vec<Vec<F>> = (0..shapes.len()).map(|index| fixture.of(&format!("x{index}"))).collect();
    let inputs: Vec<Rows<'_, F>> =
        inputs.iter().zip(&shapes).map(|(x, shape)| Rows::new(x, shape.len())).collect();
    let (rows, width) = (inputs[0].len(), layer.output_shape().len());

    let mut y = vec![F::nan(); rows * width];
    let mut tape = vec![F::nan(); layer.tape().for_rows(rows)];
    let mut dy = fixture.of::<F>("u");
    let mut dx: Vec<Vec<F>> = inputs.iter().map(|x| vec![F::nan(); x.data().len()]).collect();
    let mut dtheta = vec![F::zero(); theta.len()];
    {
        let ctx = &mut match fixture.metadata["phase"].as_str() {
            "train" => Ctx::train(&Inline, &mut buffers, Draw::new(0, 0)),
            _ => Ctx::evaluate(&Inline, &start),
        };
        layer.forward(&theta, &inputs, RowsMut::new(&mut y, width), &mut tape, ctx);
        let y = Rows::new(&y, width);
        let mut asked: Vec<_> =
            dx.iter_mut().zip(&shapes).map(|(dx, shape)| Some(RowsMut::new(dx, shape.len()))).collect();
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        layer.backward(&theta, pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        layer.accumulate(&theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
    }
    let name = &fixture.name;
    assert_near(&format!("{name}: y"), &y, &fixture.of::<f64>("y"), tolerance);
    for (index, dx) in dx.iter().enumerate() {
        // An index has no gradient.
        if let Some(expected) = fixture.tensors.get(&format!("dx{index}")) {
            assert_near(&format!("{name}: dx{index}"), dx, expected, tolerance);
        }
    }
    let mut rest = dtheta.as_slice();
    for parameter in layer.parameters() {
        let (own, after) = rest.split_at(parameter.shape.len());
        rest = after;
        let what = format!("grad.{}", parameter.name);
        assert_near(&format!("{name}: {what}"), own, &fixture.of::<f64>(&what), tolerance);
    }
    let after = fixture.joined::<f64>("buffer_after", &buffer_names);
    assert_near(&format!("{name}: buffers"), &buffers, &after, tolerance);
}

#[test]
fn every_layer_equals_pytorchs_in_both_precisions() {
    let registry = Registry::standard();
    for fixture in fixtures("layers") {
        check_layer::<f64>(&fixture, &registry, F64);
        check_layer::<f32>(&fixture, &registry, F32);
    }
}

#[test]
fn no_registered_layer_is_without_a_fixture() {
    let types: Vec<String> = fixtures("layers")
        .iter()
        .map(|fixture| {
            let keys: toml::Table = fixture.metadata["keys"].parse().expect("keys");
            keys["type"].as_str().expect("a type").to_owned()
        })
        .collect();
    for entry in Registry::standard().layers() {
        assert!(types.iter().any(|name| name == entry.name), "no fixture of {}", entry.name);
    }
    assert!(
        RANDOM.iter().all(|name| types.iter().any(|other| other == name)),
        "in evaluation, as identities"
    );
}

/// Trains one of `golden/nets` from its start weights and compares what the run leaves.
fn check_network(name: &str, expected: &str, more: &[&str], tolerance: f64) {
    let runner = Runner::new();
    let config = golden("nets").join(format!("{name}.toml"));
    let start = golden("nets").join(format!("{name}.start.safetensors"));
    let start = format!("model.initial_weights=\"{}\"", start.display());
    let arguments = ["train", config.to_str().expect("a path"), "--out", "run", "--set", &start];
    runner.done(arguments.iter().chain(more));
    let found = Fixture::read(&runner.path("run/model.safetensors"));
    let expected = Fixture::read(&golden("nets").join(format!("{name}.{expected}.safetensors")));
    let keys = |fixture: &Fixture| fixture.tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(&expected), "{name}");
    for (tensor, expected) in &expected.tensors {
        assert_near(&format!("{name}: {tensor}"), &found.of::<f64>(tensor), expected, tolerance);
    }
}

const NETWORKS: [&str; 5] = ["mlp", "cnn", "lstm", "gru", "gpt"];

#[test]
fn ten_steps_of_whole_networks_equal_pytorchs() {
    for name in NETWORKS {
        check_network(name, "end", &[], F64);
    }
}

#[test]
fn ten_steps_in_single_precision_are_near_pytorchs_in_double() {
    for name in NETWORKS {
        let sgd = ["--set", "dtype=\"f32\"", "--set", "optimizer={ type = \"sgd\", learning_rate = 0.05 }"];
        check_network(name, "sgd", &sgd, F32);
    }
}
