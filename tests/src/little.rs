//! Little data in place of much, for tests that want to train every experiment of `configs/`.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

/// A few images and labels in the format of Fashion-MNIST, which is not on every machine and takes long.
fn few_images() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        for (part, count) in [("train", 40u8), ("test", 20)] {
            let pixels = (0..usize::from(count) * 28 * 28).map(|at| (at * 37 % 251) as u8);
            let images = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
            let labels = [0, 0, 8, 1, 0, 0, 0, count];
            let images: Vec<u8> = images.into_iter().chain(pixels).collect();
            let labels: Vec<u8> = labels.into_iter().chain((0..count).map(|label| label % 10)).collect();
            fs::write(folder.path().join(format!("{part}-images")), images).expect("images");
            fs::write(folder.path().join(format!("{part}-labels")), labels).expect("labels");
        }
        folder
    });
    folder.path()
}

/// The `--set` arguments that make a config of much data, by its path, one of little.
///
/// # Panics
/// If the images cannot be written.
pub fn little(config: &str) -> Vec<String> {
    if config.contains("fashion_mnist") {
        let files = [
            ("images", "train-images"),
            ("labels", "train-labels"),
            ("test_images", "test-images"),
            ("test_labels", "test-labels"),
        ];
        let set = |(key, file)| format!("data.{key}=\"{}\"", few_images().join(file).display());
        files.into_iter().map(set).collect()
    } else if config.contains("tiny_gpt") {
        vec!["data.limit=4000".into(), "lr_schedule.warmup_steps=1".into()]
    } else if config.contains("configs/bench") && !config.contains("w1_gender") {
        vec!["data.samples=100".into()]
    } else {
        Vec::new()
    }
}
