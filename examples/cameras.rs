//! Three cameras on one line: two of 12 bits and one of 8, each on a thread of its own, one model, and an answer for
//! the programmable logic controller (PLC) within 200 ms. What is not answered in time, or could not be inspected, is
//! for review; nothing passes by mistake.
//!
//! ```text
//! cargo run --release --example cameras -- models/solar-cell
//! ```

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use panelqc::{Frame, Inspector, Model, Panel, PixelFormat, Size, Station, StationOptions, Verdict};

/// How long a gate of the line waits for its answer.
const ANSWER: Duration = Duration::from_millis(200);
const SIZE: Size = Size::new(300, 300);

/// A buffer as a camera's driver fills it: words of 16 bits, rows padded to a multiple of 64.
struct Buffer(Vec<u16>);

impl AsRef<[u16]> for Buffer {
    fn as_ref(&self) -> &[u16] {
        &self.0
    }
}

const STRIDE: usize = 320;

/// Stands for the driver: a solar cell, every third one with two dead parts.
fn level(shot: u32, x: u32, y: u32) -> u32 {
    if shot % 3 == 2 && (x < 60 || x > 200 && y > 150) {
        return 10;
    }
    let bar = if y % 100 > 92 { 40 } else { 0 };
    170 + (x * 7 + y * 13 + shot * 31) % 11 - bar
}

fn deep(shot: u32) -> panelqc::Result<Frame<'static>> {
    let mut words = vec![0; STRIDE * SIZE.height as usize];
    for (y, row) in (0..).zip(words.chunks_exact_mut(STRIDE)) {
        for (x, word) in (0..SIZE.width).zip(row) {
            *word = (level(shot, x, y) * 4095 / 255) as u16;
        }
    }
    // Shared, not copied: the driver may keep its end of the `Arc` and fill the buffer again once it is alone.
    let buffer: Arc<dyn AsRef<[u16]> + Send + Sync> = Arc::new(Buffer(words));
    Frame::strided(SIZE, PixelFormat::Mono12, buffer, STRIDE)
}

fn plain(shot: u32) -> panelqc::Result<Frame<'static>> {
    let pixels = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| level(shot, x, y) as u8));
    Frame::new(SIZE, PixelFormat::Mono8, pixels.collect::<Vec<u8>>())
}

/// A camera's shot, by its number.
type Shoot = fn(u32) -> panelqc::Result<Frame<'static>>;

/// What the gate gets: the camera, the panel, and the decision on it.
type Signal = (&'static str, String, Verdict);

/// One camera: takes shots, hands each over, and signals an answer for each in time.
fn run(camera: &'static str, shoot: Shoot, station: &Station, plc: &Sender<Signal>) {
    for shot in 0..6 {
        let id = format!("{camera} {shot}");
        let verdict = match shoot(shot) {
            Err(_) => Verdict::Review,
            Ok(frame) => {
                let panel = Panel::new(id.as_str(), frame).with_tag("camera", camera).with_tag("lot", "A17");
                match station.submit(panel).wait_timeout(ANSWER) {
                    Ok(Ok(report)) => report.verdict,
                    // Not inspected, or no answer in time: a person looks. Its ticket can still log it.
                    Ok(Err(_)) | Err(_) => Verdict::Review,
                }
            }
        };
        // The receiver lives as long as the cameras do.
        let _ = plc.send((camera, id, verdict));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).ok_or("usage: cameras MODEL")?;
    let inspector = Inspector::builder(Model::load(model)?).build()?;
    // The first inference of a session is slower than those that follow: before the line starts.
    inspector.inspect(&Panel::new("warm-up", plain(0)?))?;
    let options = StationOptions::new(&inspector).with_max_batch(3).with_queue(12);
    let station = Station::new(inspector, options)?;
    let (plc, signals) = channel();
    thread::scope(|scope| {
        let cameras: [(&'static str, Shoot); 3] = [("left", deep), ("right", deep), ("top", plain)];
        for (camera, shoot) in cameras {
            let (station, plc) = (&station, plc.clone());
            scope.spawn(move || run(camera, shoot, station, &plc));
        }
        drop(plc);
        for (camera, id, verdict) in signals {
            println!("{camera:<6} {verdict:<7} {id}");
        }
    });
    Ok(())
}
