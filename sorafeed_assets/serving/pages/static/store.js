// What a player keeps in its browser's IndexedDB: the plays that the server does not know yet, in
// their order, and notes by name (the plan, and where the player is in it).

const PLAYS = "plays";
const NOTES = "notes";

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function opened(code) {
  const request = indexedDB.open(`sorafeed-player-${code}`, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(PLAYS, { autoIncrement: true });
    request.result.createObjectStore(NOTES);
  };
  return asked(request);
}

export async function openStore(code) {
  let database = null;
  try {
    database = await opened(code);
  } catch {
    // A browser that keeps nothing, as in a private window: plays are in memory only.
    return new Store(null);
  }
  return new Store(database);
}

class Store {
  constructor(database) {
    this.database = database;
    this.unkept = 0;
  }

  // The plays that are kept, each with its key.
  async plays() {
    if (!this.database) return [];
    const plays = this.database.transaction(PLAYS).objectStore(PLAYS);
    const [keys, values] = await Promise.all([asked(plays.getAllKeys()), asked(plays.getAll())]);
    return values.map((value, number) => ({ ...value, key: keys[number] }));
  }

  // Keeps a play together with the place after it; returns its key. Throws when the storage is full.
  async add(play, place) {
    if (!this.database) return (this.unkept -= 1);
    return this.#change([PLAYS, NOTES], (plays, notes) => {
      notes.put(place, "place");
      return plays.add(play);
    });
  }

  async remove(keys) {
    if (!this.database) return;
    await this.#change([PLAYS], (plays) => keys.filter((key) => key >= 0).map((key) => plays.delete(key))[0]);
  }

  async note(name) {
    if (!this.database) return undefined;
    return asked(this.database.transaction(NOTES).objectStore(NOTES).get(name));
  }

  // A note without a value is removed.
  async write(name, value) {
    if (!this.database) return;
    await this.#change([NOTES], (notes) => (value === undefined ? notes.delete(name) : notes.put(value, name)));
  }

  // Done when it is on the disk, so that a power cut loses no play.
  #change(names, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(names, "readwrite", { durability: "strict" });
      const request = work(...names.map((name) => transaction.objectStore(name)));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}
