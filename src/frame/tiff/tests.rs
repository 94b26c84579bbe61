use super::tag;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FrameLimits, PixelFormat, PixelView};

/// How a file is written, and its picture: the tags by number, and the strips or tiles.
#[derive(Clone)]
struct File {
    big_endian: bool,
    wide: bool,
    tags: Vec<(u16, Vec<u64>)>,
    chunks: Vec<Vec<u8>>,
    description: Option<&'static str>,
}

impl File {
    /// An uncompressed picture in one strip.
    fn new((width, height): (u64, u64), bits: u64, photometric: u64, strip: &[u8]) -> Self {
        let tags = vec![
            (tag::WIDTH, vec![width]),
            (tag::HEIGHT, vec![height]),
            (tag::BITS, vec![bits]),
            (tag::PHOTOMETRIC, vec![photometric]),
        ];
        File { big_endian: false, wide: false, tags, chunks: vec![strip.to_vec()], description: None }
    }

    fn with(mut self, tag: u16, values: &[u64]) -> Self {
        self.tags.retain(|(other, _)| *other != tag);
        self.tags.push((tag, values.to_vec()));
        self
    }

    fn compressed(self, number: u64, chunks: Vec<Vec<u8>>) -> Self {
        File { chunks, ..self.with(tag::COMPRESSION, &[number]) }
    }

    fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
        let value = value.to_le_bytes();
        let own = value[..bytes].iter().copied();
        if self.big_endian { own.rev().collect() } else { own.collect() }
    }

    /// The file of one picture.
    fn bytes(&self) -> Vec<u8> {
        Self::of_pages(std::slice::from_ref(self))
    }

    fn of_pages(pages: &[File]) -> Vec<u8> {
        let (first, offset) = (&pages[0], if pages[0].wide { 8 } else { 4 });
        let mut bytes = if first.big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        bytes.extend(first.number(if first.wide { 43 } else { 42 }, 2));
        if first.wide {
            bytes.extend(first.number(8, 2));
            bytes.extend([0, 0]);
        }
        let mut link = bytes.len();
        bytes.extend(first.number(0, offset));
        for page in pages {
            let tiled = page.tags.iter().any(|(tag, _)| *tag == tag::TILE_WIDTH);
            let (offsets, counts) =
                if tiled { (tag::TILE_OFFSETS, tag::TILE_COUNTS) } else { (tag::STRIP_OFFSETS, tag::STRIP_COUNTS) };
            let mut places = Vec::new();
            for chunk in &page.chunks {
                places.push(bytes.len() as u64);
                bytes.extend(chunk);
            }
            let mut tags = page.tags.clone();
            tags.push((offsets, places));
            tags.push((counts, page.chunks.iter().map(|chunk| chunk.len() as u64).collect()));
            // Values: numbers of 4 or 8 bytes, but for tables of JPEG, which are bytes, and text.
            let mut entries: Vec<(u16, u64, u64, Vec<u8>)> = tags
                .iter()
                .map(|(tag, values)| match *tag {
                    tag::JPEG_TABLES => (*tag, 7, values.len() as u64, values.iter().map(|&v| v as u8).collect()),
                    tag => {
                        let values_bytes = values.iter().flat_map(|&v| first.number(v, offset)).collect();
                        (tag, if first.wide { 16 } else { 4 }, values.len() as u64, values_bytes)
                    }
                })
                .collect();
            if let Some(text) = page.description {
                entries.push((tag::DESCRIPTION, 2, text.len() as u64 + 1, [text.as_bytes(), b"\0"].concat()));
            }
            entries.sort_by_key(|entry| entry.0);
            let mut fields = Vec::new();
            for (tag, kind, count, mut values) in entries {
                fields.extend(first.number(tag.into(), 2));
                fields.extend(first.number(kind, 2));
                fields.extend(first.number(count, offset));
                if values.len() > offset {
                    fields.extend(first.number(bytes.len() as u64, offset));
                    bytes.extend(values);
                } else {
                    values.resize(offset, 0);
                    fields.extend(values);
                }
            }
            let at = first.number(bytes.len() as u64, offset);
            bytes[link..link + offset].copy_from_slice(&at);
            let count = fields.len() / (4 + 2 * offset);
            bytes.extend(first.number(count as u64, if first.wide { 8 } else { 2 }));
            bytes.extend(fields);
            link = bytes.len();
            bytes.extend(first.number(0, offset));
        }
        bytes
    }
}

fn decode(file: &File) -> Result<Frame<'static>> {
    Frame::from_bytes(&file.bytes(), "test", &FrameLimits::default())
}

fn refusal(file: &File) -> Error {
    decode(file).expect_err("a refusal")
}

/// Format, white and samples.
fn read(file: &File) -> (PixelFormat, u16, Vec<u16>) {
    let frame = decode(file).unwrap();
    let values = match frame.pixels() {
        PixelView::Eight(view) => view.to_tight().iter().map(|&value| value.into()).collect(),
        PixelView::Sixteen(view) => view.to_tight().into_owned(),
    };
    (frame.format(), frame.white(), values)
}

/// Samples in `bits` bits each, the rows of `row` samples filled up to whole bytes.
fn pack(values: &[u16], bits: usize, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in values.chunks(row) {
        let digits: String = row.iter().map(|value| format!("{value:0bits$b}")).collect();
        bytes.extend(digits.as_bytes().chunks(8).map(|byte| {
            let byte = format!("{:0<8}", std::str::from_utf8(byte).unwrap());
            u8::from_str_radix(&byte, 2).unwrap()
        }));
    }
    bytes
}

/// `count` samples of `bits` bits.
fn samples(count: usize, bits: usize) -> Vec<u16> {
    (0..count).map(|i| ((i * 40_503 + i / 5 * 977) as u32 % (1 << bits)) as u16).collect()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lzw(bytes: &[u8]) -> Vec<u8> {
    weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(bytes).unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn samples_of_all_depths_come_out_as_they_are() {
    for bits in 1..=16 {
        for (samples_a_pixel, photometric) in [(1, 1), (3, 2)] {
            let expected = samples(7 * 5 * samples_a_pixel, bits);
            let mut strip = pack(&expected, bits, 7 * samples_a_pixel);
            for (big_endian, wide) in [(false, false), (true, false), (false, true), (true, true)] {
                if bits == 16 {
                    strip = expected
                        .iter()
                        .flat_map(|value| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() })
                        .collect();
                }
                let file = File::new((7, 5), bits as u64, photometric, &strip);
                let file = File { big_endian, wide, ..file }.with(tag::SAMPLES, &[samples_a_pixel as u64]);
                let (format, white, found) = read(&file);
                let most = (1u32 << bits) - 1;
                // Less than 8 bits are spread.
                let level = |value: u16| {
                    if bits < 8 { ((f64::from(value) * 255.0 / f64::from(most)).round()) as u16 } else { value }
                };
                let expected: Vec<u16> = expected.iter().copied().map(level).collect();
                assert_eq!(found, expected, "{bits} bits, {samples_a_pixel} samples");
                assert_eq!(u32::from(white), most.max(255));
                assert_eq!(format.channels(), samples_a_pixel);
                assert_eq!(format.storage_bits(), if bits > 8 { 16 } else { 8 });
            }
        }
    }
    for (bits, format) in [(10, PixelFormat::Mono10), (12, PixelFormat::Mono12), (14, PixelFormat::Mono14)] {
        assert_eq!(read(&File::new((2, 1), bits, 1, &[0xAB, 0xCD, 0xEF, 0x12])).0, format);
    }
}

#[test]
fn every_compression_gives_the_same() {
    let expected = samples(40 * 30, 8);
    let plain: Vec<u8> = expected.iter().map(|&value| value as u8).collect();
    let literal = |bytes: &[u8]| bytes.chunks(100).flat_map(|part| [&[part.len() as u8 - 1], part].concat()).collect();
    let repeated: Vec<u8> = plain.iter().flat_map(|&value| [0, value]).collect();
    for (number, packed) in [
        (1, plain.clone()),
        (5, lzw(&plain)),
        (8, zlib(&plain)),
        (32_946, zlib(&plain)),
        (32_773, literal(&plain)),
        (32_773, repeated),
        (50_000, zstd(&plain)),
    ] {
        let file = File::new((40, 30), 8, 1, &[]).compressed(number, vec![packed.clone()]);
        assert_eq!(read(&file).2, expected, "{number}");
        // Bits of a byte in the other order.
        let turned = packed.iter().map(|byte| byte.reverse_bits()).collect();
        let file = file.compressed(number, vec![turned]).with(tag::FILL_ORDER, &[2]);
        assert_eq!(read(&file).2, expected, "{number}, turned");
        // Cut off in the middle, or before the checksum, while the length says so.
        for end in [packed.len() / 2, packed.len() - packed.len().min(20)] {
            let cut = File { chunks: vec![packed[..end].to_vec()], ..file.clone() }.with(tag::FILL_ORDER, &[1]);
            assert_eq!(refusal(&cut).kind(), ErrorKind::Damaged, "{number} cut at {end}");
        }
    }
}

#[test]
fn deflate_without_its_checksum_is_damaged() {
    let packed = zlib(&[7; 1200]);
    let of = |packed: &[u8]| File::new((40, 30), 8, 1, &[]).compressed(8, vec![packed.to_vec()]);
    assert_eq!(read(&of(&packed)).2, vec![7; 1200]);
    for end in packed.len() - 4..packed.len() {
        assert_eq!(refusal(&of(&packed[..end])).kind(), ErrorKind::Damaged);
    }
    let mut wrong = packed.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&of(&wrong)).kind(), ErrorKind::Damaged);
    // More rows than belong to the picture, with the right checksum.
    assert_eq!(read(&of(&zlib(&[7; 9000]))).2, vec![7; 1200]);
}

#[test]
fn a_tail_of_zeros_is_damaged_where_the_compression_can_tell() {
    let plain: Vec<u8> = samples(4000, 8).iter().map(|&value| value as u8).collect();
    for (number, packed) in [(5, lzw(&plain)), (8, zlib(&plain)), (50_000, zstd(&plain))] {
        for from in [packed.len() / 3, packed.len() - 40] {
            let mut zeroed = packed.clone();
            zeroed[from..].fill(0);
            let file = File::new((100, 40), 8, 1, &[]).compressed(number, vec![zeroed]);
            assert_eq!(refusal(&file).kind(), ErrorKind::Damaged, "{number} from {from} on");
        }
    }
}

#[test]
fn strips_tiles_planes_and_differences() {
    // 5 x 7 pixels of three samples.
    let expected = samples(5 * 7 * 3, 8);
    let at = |x: usize, y: usize, c: usize| expected.get((y * 5 + x) * 3 + c).copied().unwrap_or(0) as u8;
    let rows = |ys: std::ops::Range<usize>, cs: std::ops::Range<usize>| -> Vec<u8> {
        let places = ys.flat_map(|y| (0..5).map(move |x| (x, y)));
        places.flat_map(|(x, y)| cs.clone().map(move |c| (x, y, c))).map(|(x, y, c)| at(x, y, c)).collect()
    };
    let rgb = File::new((5, 7), 8, 2, &[]).with(tag::SAMPLES, &[3]).with(tag::BITS, &[8, 8, 8]);
    let strips = File { chunks: vec![rows(0..3, 0..3), rows(3..6, 0..3), rows(6..7, 0..3)], ..rgb.clone() };
    let strips = strips.with(tag::ROWS_PER_STRIP, &[3]);
    assert_eq!(read(&strips).2, expected);
    let planes = File { chunks: (0..3).map(|c| rows(0..7, c..c + 1)).collect(), ..rgb.clone() }.with(tag::PLANAR, &[2]);
    assert_eq!(read(&planes).2, expected);
    let tile = |x0: usize, y0: usize| -> Vec<u8> {
        let inside = |x: usize, y: usize, c: usize| if x < 5 && y < 7 { at(x, y, c) } else { 99 };
        let places = (0..16).flat_map(|at| (0..3).map(move |c| (x0 + at % 4, y0 + at / 4, c)));
        places.map(|(x, y, c)| inside(x, y, c)).collect()
    };
    let tiles = File { chunks: vec![tile(0, 0), tile(4, 0), tile(0, 4), tile(4, 4)], ..rgb.clone() };
    let tiles = tiles.with(tag::TILE_WIDTH, &[4]).with(tag::TILE_HEIGHT, &[4]);
    assert_eq!(read(&tiles).2, expected);
    let differences: Vec<u8> = rows(0..7, 0..3)
        .chunks(15)
        .flat_map(|row| (0..15).map(|i| row[i].wrapping_sub(if i < 3 { 0 } else { row[i - 3] })).collect::<Vec<_>>())
        .collect();
    let predicted = rgb.compressed(8, vec![zlib(&differences)]).with(tag::PREDICTOR, &[2]);
    assert_eq!(read(&predicted).2, expected);

    // 16 bits, by differences, in the other byte order.
    let deep = samples(6 * 4, 16);
    let differences: Vec<u8> = deep
        .chunks(6)
        .flat_map(|row| (0..6).map(|i| row[i].wrapping_sub(if i < 1 { 0 } else { row[i - 1] })).collect::<Vec<_>>())
        .flat_map(u16::to_be_bytes)
        .collect();
    let file = File { big_endian: true, ..File::new((6, 4), 16, 1, &[]) };
    assert_eq!(read(&file.compressed(5, vec![lzw(&differences)]).with(tag::PREDICTOR, &[2])).2, deep);

    // A strip or tile is missing, or lies outside of the file.
    let short = File { chunks: strips.chunks[..2].to_vec(), ..strips.clone() };
    assert!(refusal(&short).to_string().contains("2 strips or tiles where 3 belong"), "{}", refusal(&short));
    let mut bytes = strips.bytes();
    assert!(Frame::from_bytes(&bytes, "test", &FrameLimits::default()).is_ok());
    bytes.truncate(40);
    assert!(Frame::from_bytes(&bytes, "test", &FrameLimits::default()).is_err());
    assert!(refusal(&strips.with(tag::HEIGHT, &[8]).with(tag::ROWS_PER_STRIP, &[4])).kind() == ErrorKind::Damaged);
}

#[test]
fn what_samples_mean() {
    use PixelFormat::{Mono8, Rgb8};
    let strip = [0b1001_0000, 0b0110_0000];
    assert_eq!(
        read(&File::new((4, 2), 1, 0, &strip)),
        (Mono8, 255, [0, 1, 1, 0, 1, 0, 0, 1].map(|bit| 255 * bit).to_vec()),
        "white is zero"
    );
    let palette: Vec<u64> = [[0u64, 65_535, 0x8000, 257], [0, 1, 2, 514], [9, 10, 11, 0xFF00]].concat();
    let file = File::new((4, 1), 2, 3, &[0b00_01_10_11]).with(tag::PALETTE, &palette);
    assert_eq!(read(&file), (Rgb8, 255, vec![0, 0, 0, 255, 0, 0, 128, 0, 0, 1, 2, 255]));
    let eight: Vec<u64> = [[1u64, 2], [3, 4], [5, 255]].concat();
    let file = File::new((2, 1), 1, 3, &[0b0100_0000]).with(tag::PALETTE, &eight);
    assert_eq!(read(&file).2, [1, 3, 5, 2, 4, 255], "a palette of 8 bits");
    assert_eq!(refusal(&file.with(tag::PALETTE, &[1, 2, 3])).kind(), ErrorKind::Damaged);

    let alpha = |last: u8| File::new((2, 1), 8, 2, &[1, 2, 3, 255, 4, 5, 6, last]).with(tag::SAMPLES, &[4]);
    assert_eq!(read(&alpha(255)), (Rgb8, 255, vec![1, 2, 3, 4, 5, 6]));
    for kind in [1, 2] {
        let message = refusal(&alpha(254).with(tag::EXTRA_SAMPLES, &[kind])).to_string();
        assert!(message.contains("transparent"), "{message}");
    }
    assert_eq!(read(&alpha(254).with(tag::EXTRA_SAMPLES, &[0])).2, [1, 2, 3, 4, 5, 6], "a sample of no meaning");

    // PIL 11: Image.new("YCbCr", (1, 1), (100, 90, 200)).convert("RGB") is (201, 62, 33).
    let ycbcr = File::new((1, 1), 8, 6, &[100, 90, 200]).with(tag::SAMPLES, &[3]).with(tag::SUBSAMPLING, &[1, 1]);
    assert_eq!(read(&ycbcr), (Rgb8, 255, vec![201, 62, 33]));
    // Four pixels share a colour; of the second group only the left ones belong to the picture.
    let strip = [10, 20, 30, 40, 128, 128, 50, 60, 70, 80, 128, 128];
    let ycbcr = File::new((3, 2), 8, 6, &strip).with(tag::SAMPLES, &[3]);
    let gray = [10, 20, 50, 30, 40, 70].map(|value| [value; 3]).concat();
    assert_eq!(read(&ycbcr), (Rgb8, 255, gray));
}

#[test]
fn faxes_are_read() {
    use fax::{Color, VecWriter, encoder::Encoder};
    // Black where both bits are set, and a row that begins black.
    let is_black = |x: u16, y: u16| (x & y & 4 != 0) || (y == 5 && x < 9) || x % 31 == 17;
    let (width, height) = (67u16, 40u16);
    let expected: Vec<u16> =
        (0..height).flat_map(|y| (0..width).map(move |x| 255 * u16::from(!is_black(x, y)))).collect();
    let mut encoder = Encoder::new(VecWriter::new());
    for y in 0..height {
        let row = (0..width).map(|x| if is_black(x, y) { Color::Black } else { Color::White });
        encoder.encode_line(row, width).unwrap();
    }
    let packed = encoder.finish().unwrap().finish();
    let file = File::new((width.into(), height.into()), 1, 0, &[]).compressed(4, vec![packed.clone()]);
    assert_eq!(read(&file).2, expected);
    let cut = file.clone().compressed(4, vec![packed[..packed.len() / 2].to_vec()]);
    assert_eq!(refusal(&cut).kind(), ErrorKind::Damaged);

    // 8 pixels: 3 white (1000), 2 black (11), 3 white (1000); then 8 white (10011).
    let expected = [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1].map(|bit| 255 * bit);
    let bits = |text: &str| {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        pack(&digits.chars().map(|c| u16::from(c == '1')).collect::<Vec<_>>(), 1, digits.len())
    };
    let of = |number: u64, text: &str| File::new((8, 2), 1, 0, &[]).compressed(number, vec![bits(text)]);
    assert_eq!(read(&of(2, "1000 11 1000 000000 10011")).2, expected, "rows at whole bytes");
    let end = "000000000001";
    assert_eq!(read(&of(3, &format!("{end} 1000 11 1000 {end} 10011 {end}"))).2, expected);
    assert_eq!(read(&of(3, &format!("0000 {end} 1000 11 1000 0000 {end} 10011"))).2, expected, "filled up");
    // The second row by the first: pass (0001), vertical (1).
    let by_2 = of(3, &format!("{end} 1 1000 11 1000 {end} 0 0001 1")).with(tag::T4_OPTIONS, &[1]);
    assert_eq!(read(&by_2).2, expected);
    let message = refusal(&of(3, &format!("{end} 1000 11 1000"))).to_string();
    assert!(message.contains("row 2 of 2"), "{message}");
}

#[test]
fn jpeg_in_strips() {
    let values: Vec<u8> = samples(48 * 32, 7).iter().map(|&value| value as u8).collect();
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 90).encode(&values, 48, 32, jpeg_encoder::ColorType::Luma).unwrap();
    let alone = Frame::from_bytes(&jpeg, "jpeg", &FrameLimits::default()).unwrap();
    let PixelView::Eight(view) = alone.pixels() else { panic!("8 bits") };
    let expected: Vec<u16> = view.to_tight().iter().map(|&value| value.into()).collect();
    let file = File::new((48, 32), 8, 1, &[]).compressed(7, vec![jpeg.clone()]);
    assert_eq!(read(&file).2, expected);
    // The same with its tables apart.
    let (mut tables, mut rest) = (b"\xff\xd8".to_vec(), b"\xff\xd8".to_vec());
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let segment = &jpeg[at..at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]))];
        if matches!(segment[1], 0xC4 | 0xDB) {
            tables.extend(segment)
        } else {
            rest.extend(segment)
        }
        at += segment.len();
    }
    tables.extend(b"\xff\xd9");
    rest.extend(&jpeg[at..]);
    let tables: Vec<u64> = tables.iter().map(|&byte| byte.into()).collect();
    let apart = file.clone().compressed(7, vec![rest]);
    assert_eq!(read(&apart.clone().with(tag::JPEG_TABLES, &tables)).2, expected);
    assert_eq!(refusal(&apart).kind(), ErrorKind::Unsupported, "without tables");
    // Cut off, with an end and without.
    for end in [&b""[..], b"\xff\xd9"] {
        let cut = [&jpeg[..jpeg.len() / 2], end].concat();
        assert_eq!(refusal(&file.clone().compressed(7, vec![cut])).kind(), ErrorKind::Damaged);
    }
    let larger = file.with(tag::HEIGHT, &[40]);
    assert!(refusal(&larger).to_string().contains("a JPEG of 48 x 32 x 1"), "{}", refusal(&larger));
}

#[test]
fn several_pictures_are_refused_and_reduced_ones_passed_over() {
    let page = |value: u8| File::new((2, 2), 8, 1, &[value; 4]);
    let of = |pages: &[File]| Frame::from_bytes(&File::of_pages(pages), "test", &FrameLimits::default());
    let error = of(&[page(1), page(2), page(3)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("3 pictures in one TIFF"), "{error}");
    let small = |kind: u64| File::new((1, 1), 8, 1, &[9]).with(tag::SUBFILE, &[kind]);
    for pages in
        [vec![page(1), small(1)], vec![small(1), page(1), small(4)], vec![small(1), page(1).with(tag::SUBFILE, &[0])]]
    {
        let frame = of(&pages).unwrap();
        assert_eq!((frame.width(), frame.height()), (2, 2), "the picture, not its thumbnail");
    }
    assert!(of(&[small(1)]).unwrap_err().to_string().contains("reduced resolution"));
    for (description, count) in [
        ("ImageJ=1.53\nimages=5\nslices=5\n", 5),
        ("{\"shape\": [3, 2, 2]}", 3),
        ("<?xml version=\"1.0\"?><OME><Pixels SizeX=\"2\" SizeY=\"2\" SizeC=\"1\" SizeT=\"1\" SizeZ=\"4\"/></OME>", 4),
    ] {
        let file = File { description: Some(description), ..page(1) };
        let message = refusal(&file).to_string();
        assert!(message.contains(&format!("{count} pictures in one TIFF (a stack)")), "{message}");
    }
    for description in ["ImageJ=1.53\nimages=1\n", "{\"shape\": [2, 2]}", "a board", "{\"shape\": [2, 2, 1]}"] {
        assert!(decode(&File { description: Some(description), ..page(1) }).is_ok(), "{description}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    let gray = || File::new((2, 1), 8, 1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    for (tag, value, says) in [
        (tag::SAMPLE_FORMAT, 2, "signed samples"),
        (tag::SAMPLE_FORMAT, 3, "floating-point samples of 8 bits"),
        (tag::BITS, 32, "samples of 32 bits"),
        (tag::PHOTOMETRIC, 5, "CMYK"),
        (tag::PHOTOMETRIC, 8, "L*a*b*"),
        (tag::COMPRESSION, 6, "compression 6 (old-style JPEG)"),
        (tag::COMPRESSION, 34_887, "compression 34887 (LERC)"),
        (tag::SAMPLES, 2, "2 samples a pixel"),
    ] {
        let mut file = gray().with(tag, &[value]);
        if value == 5 {
            file = file.with(tag::SAMPLES, &[4]);
        }
        let error = refusal(&file);
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("damaged"), "{error}");
    }
}

#[test]
fn hostile_sizes_are_refused_without_taking_memory() {
    for (width, height) in [(1 << 20, 1 << 20), (u64::from(u32::MAX), 1), (1, u64::from(u32::MAX)), (30_000, 30_000)] {
        let file = File::new((width, height), 8, 1, &[0]);
        assert_eq!(refusal(&file).kind(), ErrorKind::Limits, "{width} x {height}");
    }
    let many = File::new((100, 100), 8, 2, &[0; 100]).with(tag::SAMPLES, &[65_535]);
    assert_eq!(refusal(&many).kind(), ErrorKind::Limits);
    let mut circle = File::new((1, 1), 8, 1, &[0]).bytes();
    let (first, end) = (circle[4..8].to_vec(), circle.len() - 4);
    circle[end..].copy_from_slice(&first);
    let error = Frame::from_bytes(&circle, "test", &FrameLimits::default()).unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}
