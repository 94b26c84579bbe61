use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ort::session::Session;

use super::library;
use super::options::GraphOptions;
use super::session::{self, Optimise};
use crate::error::{Error, Result};
use crate::hash::sha256_hex;

/// What is kept of one graph between two programs, for one ONNX Runtime, provider and kind of processor.
///
/// An optimised graph is tied to all of those: its layout of the weights follows the width of the vectors, its fused
/// operators are those of the one version. So the name of the file tells them, and so does its head, which is compared
/// whole. A check sum follows: a graph with a wrong bit among its weights loads and gives other results.
pub(super) struct Cache {
    folder: PathBuf,
    name: String,
    head: String,
}

impl Cache {
    /// The place in `folder`, which is made, for a graph with this hash.
    pub(super) fn new(folder: &Path, sha256: &str, options: &GraphOptions) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("writing", folder))?;
        let GraphOptions { provider, device, share_with_cpu, rewrite, .. } = options;
        // Without the line for most, whose files stay of use.
        let rewrite = if *rewrite { "" } else { "rewrite off\n" };
        let head = format!(
            "panelqc optimised graph 2\ngraph {sha256}\nruntime {}\nprovider {provider} {device} {share_with_cpu}\n\
             processor {}\n{rewrite}",
            library::build()?,
            processor()
        );
        let name = format!("{sha256}-{provider}-{}-{}", std::env::consts::ARCH, &sha256_hex(head.as_bytes())[..16]);
        Ok(Cache { folder: folder.to_path_buf(), name, head })
    }

    /// A folder for what the provider itself keeps. It serves one graph: TensorRT would take the engine of another one
    /// with the same names and other weights.
    pub(super) fn provider_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join(&self.name);
        fs::create_dir_all(&folder).map_err(Error::io("writing", &folder))?;
        Ok(folder)
    }

    /// A session, and the optimised graph to open more of them: the one that is kept, if it can be used.
    pub(super) fn kept(&self, path: &Path, options: &GraphOptions) -> Option<(Session, Vec<u8>)> {
        let problem = match self.read() {
            Ok(Some(kept)) => match session::open(&kept, path, options, Optimise::Done, None) {
                Ok(session) => return Some((session, kept)),
                Err(e) => e.to_string(),
            },
            Ok(None) => return None,
            Err(problem) => problem,
        };
        tracing::warn!(file = %self.file().display(), problem, "an optimised graph cannot be used and is made anew");
        None
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.graph", self.name))
    }

    /// The graph that is kept; `None` when there is no file.
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let bytes = match fs::read(self.file()) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let rest = bytes.strip_prefix(self.head.as_bytes()).ok_or("it was made by or for something else")?;
        let (sum, graph) = rest.split_at_checked(64).ok_or("it is cut short")?;
        if sum != sha256_hex(graph).as_bytes() {
            return Err("its check sum differs".to_owned());
        }
        Ok(Some(graph.to_vec()))
    }

    /// Makes and keeps an optimised graph. Two programs may do this at once: each writes a file of its own, and the
    /// last one that is ready stays.
    pub(super) fn make(&self, graph: &[u8], path: &Path, options: &GraphOptions) -> Result<(Session, Vec<u8>)> {
        let written = self.temporary()?;
        let opened = session::open(graph, path, options, Optimise::Into(&written.0), None);
        let session = match opened {
            Ok(session) => session,
            Err(e) => {
                // Is it the graph or the writing? A graph that opens without is not at fault.
                session::open(graph, path, options, Optimise::Now, None)?;
                return Err(Error::io("writing", &self.file())(io::Error::other(e)));
            }
        };
        let optimised = fs::read(&written.0).map_err(Error::io("reading", &written.0))?;
        let whole = self.temporary()?;
        File::create(&whole.0)
            .and_then(|mut file| {
                file.write_all(self.head.as_bytes())?;
                file.write_all(sha256_hex(&optimised).as_bytes())?;
                file.write_all(&optimised)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&whole.0, self.file()))
            .map_err(Error::io("writing", &self.file()))?;
        Ok((session, optimised))
    }

    /// A new file in the folder, so that a folder that cannot be written to is found before a session is opened.
    fn temporary(&self) -> Result<Temporary> {
        // The keys of a hash table are random: no other thread or process takes the same name.
        let chance = RandomState::new().hash_one(std::process::id());
        let path = self.folder.join(format!(".{}-{chance:016x}", self.name));
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io("writing", &path))?;
        Ok(Temporary(path))
    }
}

/// A file that is removed again, unless it was renamed before.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The processor as far as kernels are chosen by it.
fn processor() -> String {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let known = {
        use std::arch::is_x86_feature_detected as has;
        [
            ("sse4.1", has!("sse4.1")),
            ("avx", has!("avx")),
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("avxvnni", has!("avxvnni")),
            ("avx512f", has!("avx512f")),
            ("avx512bw", has!("avx512bw")),
            ("avx512vnni", has!("avx512vnni")),
            ("avx512bf16", has!("avx512bf16")),
        ]
    };
    #[cfg(target_arch = "aarch64")]
    let known = {
        use std::arch::is_aarch64_feature_detected as has;
        [
            ("dotprod", has!("dotprod")),
            ("fp16", has!("fp16")),
            ("i8mm", has!("i8mm")),
            ("bf16", has!("bf16")),
            ("sve", has!("sve")),
        ]
    };
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    let found = known.iter().filter(|(_, found)| *found).map(|(name, _)| *name);
    std::iter::once(std::env::consts::ARCH).chain(found).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::geometry::Size;
    use crate::model::{Model, ModelOptions, Precision};
    use crate::runtime::{Outputs, Provider};

    /// The outputs of a model on an image of noise, bit for bit.
    fn outputs(model: &Model) -> Vec<u32> {
        let Size { width, height } = model.manifest().input.size;
        let shape = (1, model.manifest().input.tensor_channels(), height as usize, width as usize);
        let mut noise = fastrand::Rng::with_seed(7);
        let input = ndarray::Array4::from_shape_simple_fn(shape, || noise.f32());
        let mut outputs = Outputs::default();
        model.run(input.view(), &mut outputs).unwrap();
        let all = (0..model.signature().outputs.len()).filter_map(|i| outputs.get(i));
        all.flat_map(|output| output.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).collect()
    }

    fn load(precision: Precision, cache: Option<&Path>) -> Model {
        let options = ModelOptions::default().with_precision(precision);
        let options = cache.map_or(options.clone(), |cache| options.with_cache(cache));
        Model::load_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell"), &options).unwrap()
    }

    fn cache_of(model: &Model, folder: &Path) -> Cache {
        Cache::new(folder, model.sha256(), &GraphOptions::default()).unwrap()
    }

    #[test]
    fn what_is_kept_is_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let [fp32, int8] = [Precision::Fp32, Precision::Int8].map(|p| load(p, Some(folder.path())));
        assert_ne!(outputs(&fp32), outputs(&int8));
        // The one graph under the name of the other: nothing but the file can be the reason for what comes out.
        let other = cache_of(&int8, folder.path()).read().unwrap().unwrap();
        let cache = cache_of(&fp32, folder.path());
        let planted = [cache.head.as_bytes(), sha256_hex(&other).as_bytes(), &other].concat();
        fs::write(cache.file(), planted).unwrap();
        let model = load(Precision::Fp32, Some(folder.path()));
        assert_eq!(outputs(&model), outputs(&int8));
        // Further sessions are opened with it too.
        model.reserve(2).unwrap();
        assert_eq!(model.sha256(), fp32.sha256(), "the trace speaks of the package's graph");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let plain = outputs(&load(Precision::Int8, None));
        let model = load(Precision::Int8, Some(folder.path()));
        assert_eq!(outputs(&model), plain);
        let cache = cache_of(&model, folder.path());
        let good = fs::read(cache.file()).unwrap();
        let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            edit(&mut bytes);
            bytes
        };
        let no_graph = [cache.head.as_bytes(), sha256_hex(b"no graph").as_bytes(), b"no graph"].concat();
        let spoilt: [(&str, Vec<u8>); 7] = [
            ("empty", Vec::new()),
            ("cut in the head", good[..20].to_vec()),
            ("cut in the sum", good[..cache.head.len() + 10].to_vec()),
            ("cut in the graph", good[..good.len() - 1].to_vec()),
            ("a wrong bit among the weights", edited(&|bytes| bytes[good.len() / 2] ^= 1)),
            ("another processor", edited(&|bytes| bytes[cache.head.len() - 2] ^= 1)),
            ("no graph", no_graph.clone()),
        ];
        for (what, bytes) in spoilt {
            fs::write(cache.file(), bytes).unwrap();
            assert_eq!(outputs(&load(Precision::Int8, Some(folder.path()))), plain, "{what}");
            assert!(fs::read(cache.file()).unwrap() != no_graph, "{what}: it was not made anew");
            assert!(cache.read().is_ok_and(|kept| kept.is_some()), "{what}: it was not made anew");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_name_tells_graph_runtime_provider_and_processor() {
        let folder = tempfile::tempdir().unwrap();
        let cache = |sha256: &str, options: &GraphOptions| Cache::new(folder.path(), sha256, options).unwrap();
        let plain = cache("aa", &GraphOptions::default());
        let other = GraphOptions { provider: Provider::Cuda, ..Default::default() };
        assert!(plain.name.starts_with(&format!("aa-cpu-{}-", std::env::consts::ARCH)), "{}", plain.name);
        assert!(plain.name != cache("bb", &GraphOptions::default()).name && plain.name != cache("aa", &other).name);
        for part in ["graph aa\n", &library::build().unwrap(), "provider cpu 0", &processor()] {
            assert!(plain.head.contains(part), "{part} in {}", plain.head);
        }
    }
}
