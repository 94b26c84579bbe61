use super::*;
use image::{GrayImage, ImageFormat};

/// A folder with these files, each a text.
pub(in crate::frame) fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    dir
}

fn ids(folder: &Path) -> Vec<String> {
    find_images(folder).unwrap().into_iter().map(|image| image.id).collect()
}

#[test]
fn images_are_known_by_content_and_named_by_extension() {
    let dir = tree(&["b.png", "a/2.PNG", "notes.txt", "BMW.txt", "data", "labels/a.json"]);
    for (name, format) in [
        ("shot.jfif", ImageFormat::Jpeg),
        ("noext", ImageFormat::Png),
        ("d.dib", ImageFormat::Bmp),
        ("t.001", ImageFormat::Tiff),
    ] {
        GrayImage::new(2, 2).save_with_format(dir.path().join(name), format).unwrap();
    }
    assert_eq!(ids(dir.path()), ["a/2", "b", "d", "noext", "shot", "t"]);
    let walk = Walk::below(dir.path()).unwrap();
    assert_eq!(
        walk.left_out.to_string(),
        "left out 4 files that are no images (BMW.txt, data, labels/a.json and 1 more)"
    );
}

#[test]
fn what_is_hidden_or_a_systems_is_left_out_and_counted() {
    let dir = tree(&[
        "a.png",
        "._a.png",
        ".hidden/b.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "@eaDir/a.png/THUMB.png",
        "__MACOSX/._a.png",
        "x/.Trashes/501/c.png",
        "x/Thumbs.db",
        "x/y.jpg",
    ]);
    assert_eq!(ids(dir.path()), ["a", "x/y"]);
    let left_out = Walk::below(dir.path()).unwrap().left_out;
    assert_eq!((left_out.hidden.count, left_out.other.count, left_out.is_empty()), (7, 0, false));
    assert!(left_out.to_string().ends_with("(._a.png, .hidden, .ipynb_checkpoints and 4 more)"), "{left_out}");
    // A folder that is asked for is walked, whatever it is called.
    assert_eq!(ids(&dir.path().join(".hidden")), ["b"]);
}

#[test]
#[cfg(unix)]
fn what_cannot_be_read_takes_its_place_and_the_rest_is_found() {
    use std::os::unix::fs::symlink;
    let dir = tree(&["a.png", "b/1.png", "z.png"]);
    symlink("/no/such/place", dir.path().join("m.png")).unwrap();
    symlink("n.png", dir.path().join("n.png")).unwrap();
    symlink("gone", dir.path().join("notes.txt")).unwrap();
    symlink(".", dir.path().join("loop")).unwrap();
    std::os::unix::net::UnixListener::bind(dir.path().join("s.png")).unwrap();
    let walk = Walk::below(dir.path()).unwrap();
    let found: Vec<_> = walk
        .found
        .iter()
        .map(|found| (found.image.id.as_str(), found.problem.as_ref().map_or("", |problem| problem.found.as_str())))
        .collect();
    assert_eq!(found[..2], [("a", ""), ("b/1", "")]);
    assert_eq!(found[2], ("loop", "a link to a folder that it is in"));
    assert!(found[3].0 == "m" && found[3].1.contains("No such file"), "{found:?}");
    assert!(found[4].0 == "n" && found[4].1.contains("symbolic links"), "{found:?}");
    assert_eq!(found[5..], [("s", "a socket"), ("z", "")]);
    assert_eq!(walk.left_out.other.names, ["notes.txt"]);
    // Labelled data have to be whole.
    let error = find_images(dir.path()).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("a link to a folder that it is in"), "{error}");
}

#[test]
#[cfg(unix)]
fn links_to_folders_are_followed() {
    let (dir, other) = (tree(&["b/1.png"]), tree(&["2.png"]));
    std::os::unix::fs::symlink(other.path(), dir.path().join("a")).unwrap();
    assert_eq!(ids(dir.path()), ["a/2", "b/1"]);
}

#[test]
fn a_name_of_dots_stays_whole() {
    for (path, name) in [("x/a.b.png", "a.b"), ("...png", "...png"), ("..png", "..png"), ("x/panel", "panel")] {
        assert_eq!(stem(Path::new(path)), name);
    }
}
