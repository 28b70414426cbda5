// The plan by which a player continues without the server: verified, then followed pick by pick.

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// The plan in a signed answer; throws when it is not the server's, of another display, or expired.
export async function verified(signed, keys, code) {
  const known = keys.find((key) => key.id === signed?.key);
  if (!known) throw new Error("its key is not the server's");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytesOf(known.public), algorithm, false, ["verify"]);
  const text = new TextEncoder().encode(signed.plan);
  if (!(await crypto.subtle.verify(algorithm, key, bytesOf(signed.signature), text))) throw new Error("its signature is wrong");
  const plan = JSON.parse(signed.plan);
  if (plan.display !== code) throw new Error("it is of another display");
  if (Date.parse(plan.expires_at) <= Date.now()) throw new Error("it has expired");
  return plan;
}

// Where a player is in a plan. After the last pick it goes round the last loop.
export class Course {
  constructor(plan, place = {}) {
    this.plan = plan;
    this.index = place.index ?? 0;
    this.round = place.round ?? 0;
    this.entries = new Map();
  }

  get place() {
    return { issued: this.plan.issued_at, index: this.index, round: this.round };
  }

  get isExpired() {
    return Date.parse(this.plan.expires_at) <= Date.now();
  }

  get isHalfUsed() {
    return this.round > 0 || 2 * this.index > this.plan.videos.length;
  }

  // The pick of a queue's entry, with which a play is told that the queue may no longer have.
  pickOf(video) {
    return this.plan.videos.find((pick) => pick.loop === video.loop && pick.position === video.position && pick.video === video.video);
  }

  // Continues after a video that was played; of the queue, or a pick of this plan.
  pass(video) {
    const place = video.place?.issued === this.plan.issued_at ? video.place : null;
    const index = place?.index ?? this.plan.videos.indexOf(this.pickOf(video));
    if (index < 0) return;
    this.index = index + 1;
    this.round = place?.round ?? this.round;
    this.#wrap();
  }

  // The next picks that may be played, after the queue's last video.
  next(count, last, mayPlay) {
    const { videos } = this.plan;
    if (this.isExpired || !videos.length) return [];
    let { index, round } = this;
    const behind = last && round === 0 ? videos.indexOf(this.pickOf(last)) : -1;
    if (behind >= index) index = behind + 1;
    const found = [];
    for (let looked = 0; looked < 2 * videos.length && found.length < count; looked++, index++) {
      if (index >= videos.length) {
        index = this.plan.round;
        round += 1;
      }
      const pick = videos[index];
      if (!mayPlay(pick)) continue;
      const place = { issued: this.plan.issued_at, index, round };
      found.push({ ...pick, entry: this.#entry(pick, index, round), place });
    }
    return found;
  }

  // Addresses in the order in which they will be played.
  addresses() {
    const { videos, round } = this.plan;
    const order = [...videos.slice(this.index), ...videos.slice(round)];
    return order.map((pick) => pick.sources[0]).filter(Boolean);
  }

  // A pick that is no row of the queue yet, or that is played again, is a play of its own.
  #entry(pick, index, round) {
    if (pick.entry && round === 0) return pick.entry;
    const name = `${round} ${index}`;
    if (!this.entries.has(name)) this.entries.set(name, crypto.randomUUID());
    return this.entries.get(name);
  }

  #wrap() {
    if (this.index < this.plan.videos.length) return;
    this.index = this.plan.round;
    this.round += 1;
    this.entries.clear();
  }
}
