//! Start weights that are damaged or of another network.

use std::fs;

use chainrule_tests::runner::Runner;
use safetensors::serialize;
use safetensors::tensor::{Dtype as TensorDtype, TensorView};

use super::fails;

/// A tensor of a weights file.
struct Tensor {
    name: &'static str,
    dtype: TensorDtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn ones(name: &'static str, shape: &[usize]) -> Self {
        let bytes = 1f64.to_le_bytes().repeat(shape.iter().product());
        Self { name, dtype: TensorDtype::F64, shape: shape.to_vec(), bytes }
    }
}

/// The tensors of the notebook's network, all ones.
fn ones() -> Vec<Tensor> {
    let shapes: [(_, &[usize]); 4] = [
        ("hidden.weight", &[2, 2]),
        ("hidden.bias", &[2]),
        ("output.weight", &[1, 2]),
        ("output.bias", &[1]),
    ];
    shapes.map(|(name, shape)| Tensor::ones(name, shape)).into()
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|Tensor { name, dtype, shape, bytes }| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn names_what_is_wrong_with_start_weights() {
    let runner = Runner::with_gender();
    let set = "model.initial_weights=\"w.safetensors\"";
    let path = runner.path("w.safetensors").display().to_string();
    let refuses = |message: &str| {
        for verb in ["check", "train"] {
            let expected = format!("error: {path}: {message}");
            let stderr = fails(&runner, &[verb, "gender.toml", "--set", set], 3, &[]);
            assert!(stderr.starts_with(&expected), "{stderr}");
        }
    };
    refuses("cannot be read: No such file");
    fs::create_dir(runner.path("w.safetensors")).unwrap();
    refuses("cannot be read: is a directory");
    fs::remove_dir(runner.path("w.safetensors")).unwrap();

    let whole = safetensors(&ones());
    let texts: [&[u8]; 5] =
        [b"", b"hello", b"\xff\xff\xff\xff\xff\xff\xff\xff{}", &whole[..whole.len() - 8], &whole[..20]];
    for bytes in texts {
        runner.write("w.safetensors", bytes);
        refuses("this is not a whole safetensors file: ");
    }

    let changed = |change: &dyn Fn(&mut Vec<Tensor>), message: &str| {
        let mut tensors = ones();
        change(&mut tensors);
        runner.write("w.safetensors", safetensors(&tensors));
        refuses(message);
    };
    changed(
        &|tensors| tensors[0].shape = vec![4],
        "`hidden.weight` is [4] in the file, but [2, 2] in the network\n",
    );
    changed(
        &|tensors| tensors[2].shape = vec![2, 1],
        "`output.weight` is [2, 1] in the file, but [1, 2] in the network\n",
    );
    changed(&|tensors| drop(tensors.remove(3)), "the network's `output.bias` [1] is not in the file\n");
    changed(
        &|tensors| tensors[1].name = "hiden.bias",
        "the network's `hidden.bias` [2] is not in the file; the nearest name there is `hiden.bias`\n",
    );
    changed(
        &|tensors| tensors.push(Tensor::ones("third.bias", &[1])),
        "the file's `third.bias` is not in the network\n",
    );
    changed(
        &|tensors| tensors[3].dtype = TensorDtype::I64,
        "`output.bias` holds I64; only F32 and F64 can be loaded\n",
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        changed(
            &|tensors| tensors[3].bytes = bad.to_le_bytes().to_vec(),
            "`output.bias` holds a number that is not finite\n",
        );
    }

    runner.write("w.safetensors", whole);
    runner.done(["check", "gender.toml", "--set", set]);
}
