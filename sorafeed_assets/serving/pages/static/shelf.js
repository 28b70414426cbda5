// The videos that a player keeps in Cache Storage, to play them without the server. Where there is
// no room for all, those that play next are kept.

export const VIDEOS = "sorafeed-videos-1";
const SHARE = 0.8; // of the storage that the browser gives
const SETTLE = 100; // milliseconds until freed storage is counted

export async function openShelf(needed) {
  if (!isSecureContext || !self.caches) return null;
  try {
    const cache = await caches.open(VIDEOS);
    const sizes = (await cache.keys()).map(async (request) => {
      const kept = await cache.match(request);
      return [request.url, Number(kept?.headers.get("content-length") ?? 0)];
    });
    return new Shelf(cache, new Map(await Promise.all(sizes)), needed);
  } catch {
    return null;
  }
}

const full = (address) => new URL(address, location.href).href;

class Shelf {
  // `needed` returns addresses in the order in which they will be played.
  constructor(cache, sizes, needed) {
    this.cache = cache;
    this.sizes = sizes;
    this.needed = needed;
  }

  has(address) {
    return this.sizes.has(full(address));
  }

  async find(address) {
    if (!this.has(address)) return null;
    const kept = await this.cache.match(full(address));
    // The browser may remove what it keeps when the disk is full.
    if (!kept) this.sizes.delete(full(address));
    return kept ? kept.blob() : null;
  }

  // Returns whether it is kept. Videos that are needed later make room for it.
  async keep(address, blob) {
    const key = full(address);
    if (this.sizes.has(key)) return true;
    for (;;) {
      if (await this.#fits(blob.size)) {
        try {
          const headers = { "content-type": blob.type || "video/mp4", "content-length": String(blob.size) };
          await this.cache.put(key, new Response(blob, { headers }));
          this.sizes.set(key, blob.size);
          return true;
        } catch (error) {
          if (error.name !== "QuotaExceededError") throw error;
        }
      }
      if (!(await this.free(key))) return false;
    }
  }

  // Removes the video that is needed last, or not at all; but only one needed after `than`.
  async free(than) {
    const order = new Map(this.needed().map((address, place) => [full(address), place]).reverse());
    const place = (key) => order.get(key) ?? Infinity;
    const [last] = [...this.sizes.keys()].sort((one, other) => place(other) - place(one));
    if (!last || (than && place(last) <= place(than))) return false;
    this.sizes.delete(last);
    await this.cache.delete(last);
    await new Promise((resolve) => setTimeout(resolve, SETTLE));
    return true;
  }

  async #fits(size) {
    const { quota = Infinity } = (await navigator.storage?.estimate?.()) ?? {};
    const kept = [...this.sizes.values()].reduce((sum, each) => sum + each, 0);
    return kept + size <= SHARE * quota;
  }
}
