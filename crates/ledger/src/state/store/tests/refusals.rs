//! What is not the store's own is refused, with what to do.

use super::*;

#[test]
fn the_wrong_suite_and_pages_that_do_not_lead_to_the_root_are_refused() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    store
        .commit(Height(0), &changes((0..9).map(|n| (account(n), Some(n)))))
        .unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    let wrong = folder.try_open(Suite::Sm, SMALL).err().unwrap();
    assert!(wrong.to_string().contains("suite intl, not sm"), "{wrong}");
    // The key-value store of another folder.
    let mixed = Folder {
        kv: Arc::new(MemKv::new()),
        disk: folder.disk.clone(),
    };
    let wrong = mixed.try_open(Suite::Intl, SMALL).err().unwrap();
    let said = wrong.to_string();
    assert!(
        said.contains("do not belong together") && said.contains("move"),
        "{said}"
    );
}

#[test]
fn a_folder_of_an_unknown_version_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let mut batch = hawser_storage::Batch::new();
    batch.put(META, b"base", [&9u32.to_le_bytes()[..], &[0; 73]].concat());
    folder.kv.write(batch).unwrap();
    let wrong = folder
        .try_open(Suite::Intl, SMALL)
        .err()
        .unwrap()
        .to_string();
    assert!(
        wrong.contains("format 9") && wrong.contains("Move the key-value folder"),
        "{wrong}"
    );
}

#[test]
fn a_flipped_bit_of_a_page_is_an_error_with_what_to_do_and_never_another_value() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    let mut contents = Contents::new();
    let changes = wide_changes(0, 60, 60);
    apply(&mut contents, &changes);
    store.commit(Height(0), &changes).unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    drop(store);
    let (name, len) = hawser_storage::Disk::list(&folder.disk).unwrap().remove(1);
    assert!(name.ends_with(".pag"), "{name}");
    let mut found = 0;
    for offset in (8..len as usize).step_by(61) {
        let damaged = Folder {
            kv: folder.kv.clone(),
            disk: folder.disk.clone(),
        };
        damaged.disk.flip_bit(&name, offset, 3);
        let store = open(&damaged, Suite::Intl, SMALL);
        let view = store.view(Height(0)).unwrap();
        for key in (0..60).map(wide) {
            match view.get(&key) {
                Ok(value) => assert_eq!(value.as_ref(), contents.get(&key)),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.contains("damaged") && said.contains("made anew"),
                        "{said}"
                    );
                    found += 1;
                }
            }
        }
        damaged.disk.flip_bit(&name, offset, 3);
    }
    assert!(found > 50, "{found}");
}
