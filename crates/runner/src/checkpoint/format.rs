//! A checkpoint as bytes: a safetensors file that can tell whether it is whole.
//!
//! The vectors of a [`State`] are its tensors; all else is JSON in its `__metadata__`. The first key of this JSON is the
//! BLAKE3 digest of the whole file with zeros in the digest's own place: one altered bit anywhere is noticed, and any
//! program that reads safetensors still can. It guards against accidents, not against forgery, which it need not: a
//! checkpoint holds numbers and no code.

use std::collections::HashMap;

use chainrule_core::Float;
use chainrule_trainer::optimizer::Memory;
use chainrule_trainer::{Counts, Snapshot, State};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::counts::StoredCounts;
use super::fingerprint::Fingerprint;
use crate::data::Preprocessing;

/// The version of this format.
const FORMAT: u32 = 1;

/// The key of the file's metadata.
const METADATA_KEY: &str = "chainrule";

/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

/// What stands before the digest in the file: JSON within JSON.
const MARK: &[u8] = br#"{\"checksum\":\""#;

/// What a state belongs to, so that nothing else goes on from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Belongs {
    /// The keys of the experiment.
    pub(crate) experiment: Fingerprint,
    /// The samples.
    pub(crate) data: String,
    /// What was fitted on them.
    pub(crate) preprocessing: Preprocessing,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    // The first field, as `MARK` says.
    checksum: String,
    format: u32,
    counts: StoredCounts,
    slots: Vec<String>,
    belongs: Belongs,
    metrics_bytes: u64,
}

/// Why bytes are no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Bytes are missing or altered.
    #[error("the file is not whole, or was altered")]
    Damaged,
    /// The library refuses to read or write it.
    #[error("this is not a safetensors file: {0}")]
    Tensors(#[from] SafeTensorError),
    /// The JSON is not that of a checkpoint.
    #[error("its header is not that of a checkpoint: {0}")]
    Header(#[from] serde_json::Error),
    /// Of another version of the program.
    #[error("it has the format {0}, and this version reads {FORMAT}")]
    Version(u32),
    /// A vector is missing, or holds another kind of number.
    #[error("its vector `{0}` is missing or holds other numbers")]
    Vector(String),
}

/// Names and views of the vectors that a file is made of.
type Views<'a> = Vec<(String, Dtype, &'a [u8])>;

/// The bytes of a checkpoint.
pub(crate) fn encode<F: Float>(
    state: &State<F>,
    slots: &[&str],
    belongs: &Belongs,
    metrics_bytes: u64,
) -> Result<Vec<u8>, FormatError> {
    let mut vectors: Vec<(String, Vec<u8>)> = Vec::new();
    let mut push = |name: String, values: &[F]| {
        let mut bytes = Vec::with_capacity(values.len() * F::BYTES);
        F::append_le_bytes(values, &mut bytes);
        vectors.push((name, bytes));
    };
    push("theta".into(), &state.theta);
    push("buffers".into(), &state.buffers);
    for (index, slot) in state.memory.slots.iter().enumerate() {
        push(slot_name(index), slot);
    }
    for (name, snapshot) in [("average", &state.average), ("best", &state.best)] {
        if let Some(snapshot) = snapshot {
            push(format!("{name}.theta"), &snapshot.theta);
            push(format!("{name}.buffers"), &snapshot.buffers);
        }
    }
    let mut numbers = Vec::new();
    f64::append_le_bytes(&state.memory.numbers, &mut numbers);
    let dtype = dtype_of::<F>();
    let mut views: Views<'_> =
        vectors.iter().map(|(name, bytes)| (name.clone(), dtype, bytes.as_slice())).collect();
    views.push(("numbers".into(), Dtype::F64, &numbers));

    let header = Header {
        checksum: "0".repeat(DIGITS),
        format: FORMAT,
        counts: state.counts.into(),
        slots: slots.iter().map(|&name| name.to_owned()).collect(),
        belongs: belongs.clone(),
        metrics_bytes,
    };
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(&header)?)]);
    let views = views.into_iter().map(|(name, dtype, bytes)| {
        let size = if dtype == Dtype::F64 { 8 } else { 4 };
        Ok((name, TensorView::new(dtype, vec![bytes.len() / size], bytes)?))
    });
    let mut file = serialize(views.collect::<Result<Vec<_>, SafeTensorError>>()?, Some(metadata))?;
    seal(&mut file);
    Ok(file)
}

/// A checkpoint that is whole, of which no vector has been read yet.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    header: Header,
    file: SafeTensors<'a>,
}

impl<'a> Sealed<'a> {
    /// Looks whether the bytes are a whole checkpoint.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let place = digest_place(bytes).ok_or(FormatError::Damaged)?;
        if digest(bytes, place).as_bytes() != &bytes[place..place + DIGITS] {
            return Err(FormatError::Damaged);
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        let header: Header = serde_json::from_str(text.ok_or(FormatError::Damaged)?)?;
        if header.format != FORMAT {
            return Err(FormatError::Version(header.format));
        }
        Ok(Self { header, file: SafeTensors::deserialize(bytes)? })
    }

    /// What its state belongs to.
    pub(crate) fn belongs(&self) -> &Belongs {
        &self.header.belongs
    }

    /// The length of `metrics.jsonl` at its moment.
    pub(crate) fn metrics_bytes(&self) -> u64 {
        self.header.metrics_bytes
    }

    /// Where the run was.
    pub(crate) fn counts(&self) -> Counts {
        self.header.counts.into()
    }

    /// The names of what its optimiser remembers.
    pub(crate) fn slots(&self) -> &[String] {
        &self.header.slots
    }

    /// Its state, in the precision that it was stored in.
    pub(crate) fn state<F: Float>(&self) -> Result<State<F>, FormatError> {
        let vector = |name: &str| read::<F>(&self.file, name);
        let snapshot = |name: &str| -> Result<Option<Snapshot<F>>, FormatError> {
            if self.file.tensor(&format!("{name}.theta")).is_err() {
                return Ok(None);
            }
            let (theta, buffers) = (vector(&format!("{name}.theta"))?, vector(&format!("{name}.buffers"))?);
            Ok(Some(Snapshot { theta, buffers }))
        };
        let slots = (0..self.header.slots.len()).map(|index| vector(&slot_name(index)));
        let numbers = read::<f64>(&self.file, "numbers")?;
        Ok(State {
            theta: vector("theta")?,
            buffers: vector("buffers")?,
            memory: Memory { slots: slots.collect::<Result<_, _>>()?, numbers },
            average: snapshot("average")?,
            best: snapshot("best")?,
            counts: self.counts(),
        })
    }
}

/// The state in these bytes, whatever run it belongs to.
///
/// # Errors
/// [`FormatError`] if they are not a whole checkpoint of this precision.
pub fn state<F: Float>(bytes: &[u8]) -> Result<State<F>, FormatError> {
    Sealed::open(bytes)?.state()
}

/// Writes the digest that fits the bytes into them, if they have a place for it: after a change by hand, or by a test
/// that wants to be read beyond the digest.
pub fn seal(bytes: &mut [u8]) {
    if let Some(place) = digest_place(bytes) {
        let digest = digest(bytes, place);
        bytes[place..place + DIGITS].copy_from_slice(digest.as_bytes());
    }
}

fn slot_name(index: usize) -> String {
    format!("slot.{index}")
}

fn dtype_of<F: Float>() -> Dtype {
    if F::BYTES == 8 { Dtype::F64 } else { Dtype::F32 }
}

fn read<F: Float>(file: &SafeTensors<'_>, name: &str) -> Result<Vec<F>, FormatError> {
    let wrong = || FormatError::Vector(name.to_owned());
    let tensor = file.tensor(name).map_err(|_| wrong())?;
    if tensor.dtype() != dtype_of::<F>() {
        return Err(wrong());
    }
    let mut values = vec![F::zero(); tensor.data().len() / F::BYTES];
    F::read_le_bytes(&mut values, tensor.data());
    Ok(values)
}

/// Where the digest stands: within the header, whose length the file begins with.
fn digest_place(file: &[u8]) -> Option<usize> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header = rest.get(..length)?;
    let mark = header.windows(MARK.len()).position(|window| window == MARK)?;
    let place = mark + MARK.len();
    header.get(place..place + DIGITS)?;
    Some(8 + place)
}

/// The digest of a file with zeros at the digest's place.
fn digest(file: &[u8], place: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..place]).update(&[b'0'; DIGITS]).update(&file[place + DIGITS..]);
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use chainrule_core::Total;
    use chainrule_trainer::schedule::PlateauState;
    use chainrule_trainer::{Adam, Counts, Judged};

    use super::*;

    fn belongs() -> Belongs {
        Belongs {
            experiment: Fingerprint::from([("seed".into(), "0123".into())]),
            data: "ab".into(),
            preprocessing: Preprocessing::default(),
        }
    }

    fn state<F: Float>() -> State<F> {
        let values =
            |seed: u32, len: u32| (0..len).map(|i| F::of(f64::from(seed + i) / 3.0)).collect::<Vec<F>>();
        let mut state = State::new(values(1, 5), values(2, 2), &Adam::new());
        state.memory.slots[1] = values(9, 5);
        state.memory.numbers = vec![0.1 + 0.2, f64::MIN_POSITIVE, f64::INFINITY];
        state.best = Some(Snapshot { theta: values(7, 5), buffers: values(8, 2) });
        state.counts = Counts {
            epochs: 3,
            samples: 17,
            steps: 40,
            batches: 41,
            skipped: 1,
            running: Total { sum: 0.1 + 0.7, terms: 17.0 },
            logged: 2,
            seconds: 0.3,
            seconds_before: 1e-9,
            averaged: 5,
            judged: Judged { best: Some(1.0 / 3.0), best_epoch: 2, waited: 1 },
            plateau: PlateauState { best: Some(-0.0), bad: 1, cooldown: 2, share: 0.1 },
            stopped: true,
        };
        state
    }

    fn assert_survives<F: Float>() {
        for state in [state::<F>(), State::new(vec![F::of(0.5)], Vec::new(), &chainrule_trainer::Sgd::new())]
        {
            let slots = vec!["a"; state.memory.slots.len()];
            let bytes = encode(&state, &slots, &belongs(), 1234).unwrap();
            let sealed = Sealed::open(&bytes).unwrap();
            assert_eq!((sealed.belongs(), sealed.metrics_bytes()), (&belongs(), 1234));
            assert!(sealed.slots().iter().eq(&slots));
            assert_eq!(sealed.counts(), state.counts);
            assert_eq!(sealed.state::<F>().unwrap(), state);
        }
    }

    #[test]
    fn every_number_survives_the_file() {
        assert_survives::<f32>();
        assert_survives::<f64>();
    }

    #[test]
    fn every_altered_bit_and_every_missing_byte_is_noticed() {
        let bytes = encode(&state::<f32>(), &["m", "v"], &belongs(), 7).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            assert!(Sealed::open(&altered).is_err(), "byte {at}");
            assert!(matches!(Sealed::open(&bytes[..at]), Err(FormatError::Damaged)), "cut at {at}");
        }
        assert!(Sealed::open(&[bytes.as_slice(), b"\0"].concat()).is_err());
    }

    #[test]
    fn a_state_in_the_other_precision_is_refused() {
        let bytes = encode(&state::<f32>(), &["m", "v"], &belongs(), 7).unwrap();
        assert!(matches!(super::state::<f64>(&bytes), Err(FormatError::Vector(name)) if name == "theta"));
    }

    #[test]
    fn other_programs_can_read_the_vectors() {
        let bytes = encode(&state::<f64>(), &["m", "v"], &belongs(), 7).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("slot.1").unwrap().shape(), [5]);
    }
}
