// The page of the face service: everything it shows comes from the routes of app.py.
// Text of others (names, messages) only ever becomes textContent.

const SVG = "http://www.w3.org/2000/svg";
const SCALE = { low: -0.2, high: 1 }; // cosines shown; faces of different people are around 0
const byId = (id) => document.getElementById(id);
const percent = (cosine) => {
  const share = (cosine - SCALE.low) / (SCALE.high - SCALE.low);
  return `${100 * Math.min(1, Math.max(0, share))}%`;
};

const number = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

// --- asking the service

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return ask(path, options);
  }
  if (response.status === 503) {
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    return ask(path, options);
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(answer.detail ?? `Status ${response.status}`));
  return answer;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + ".";

let asking = null; // one dialog, however many requests wait for it
function askForToken() {
  asking ??= new Promise((done) => {
    byId("token").value = "";
    byId("token-dialog").showModal();
    byId("token-dialog").addEventListener("close", () => {
      sessionStorage.setItem("token", byId("token").value.trim());
      asking = null;
      done();
    }, { once: true });
  });
  return asking;
}

const post = (path, fields) => {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return ask(path, { method: "POST", body });
};

// --- a place for one photo, with what was found in it

class PhotoPlace {
  constructor(root, onFile) {
    root.append(byId("photo-template").content.cloneNode(true));
    this.root = root;
    this.drop = root.querySelector(".drop");
    this.image = root.querySelector(".drop > img");
    this.marks = root.querySelector(".marks");
    this.found = root.querySelector(".found");
    this.onFile = onFile;
    this.file = null;
    const input = root.querySelector("input");
    input.addEventListener("change", () => {
      if (input.files[0]) this.take(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
      });
    }
  }

  take(file) {
    this.file = file;
    URL.revokeObjectURL(this.image.src);
    this.image.src = URL.createObjectURL(file);
    this.image.alt = file.name;
    this.image.hidden = false;
    this.marks.toggleAttribute("hidden", true);
    this.found.hidden = true;
    this.root.querySelector(".invite").hidden = true;
    this.drop.classList.add("filled");
    this.onFile(file);
  }

  busy(is) {
    this.drop.classList.toggle("busy", is);
  }

  show(face) {
    const [x1, y1, x2, y2] = face.box;
    const rect = document.createElementNS(SVG, "rect");
    const radius = Math.max(x2 - x1, y2 - y1) * 0.025;
    setAll(rect, { x: x1, y: y1, width: x2 - x1, height: y2 - y1, rx: 2 * radius });
    const points = face.landmarks.map(([cx, cy]) => {
      const circle = document.createElementNS(SVG, "circle");
      setAll(circle, { cx, cy, r: radius });
      return circle;
    });
    this.marks.setAttribute("viewBox", `0 0 ${face.width} ${face.height}`);
    this.marks.replaceChildren(rect, ...points);
    this.marks.toggleAttribute("hidden", false);
    this.found.querySelector(".crop").src = face.crop;
    const facts = [
      ["photo", `${face.width}×${face.height}`],
      ["faces", face.num_faces],
      ["score", face.score.toFixed(3)],
    ];
    this.found.querySelector("dl").replaceChildren(
      ...facts.flatMap(([term, text]) => [element("dt", term), element("dd", text)]),
    );
    this.found.hidden = false;
  }
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function element(tag, text = "", className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = className;
  return node;
}

function say(id, text, isGood = false) {
  byId(id).textContent = text;
  byId(id).classList.toggle("good", isGood);
  byId(id).hidden = !text;
}

// --- compare

let comparison = 0; // an answer that comes after newer photos is left aside
const left = new PhotoPlace(byId("left"), compare);
const right = new PhotoPlace(byId("right"), compare);

async function compare() {
  say("compare-message", "");
  byId("result").hidden = true;
  if (!left.file || !right.file) return;
  const mine = ++comparison;
  for (const place of [left, right]) place.busy(true);
  try {
    const answer = await post("/compare?crop=true", [["left", left.file], ["right", right.file]]);
    if (mine === comparison) showComparison(answer);
  } catch (error) {
    if (mine === comparison) say("compare-message", error.message);
  } finally {
    if (mine === comparison) for (const place of [left, right]) place.busy(false);
  }
}

function showComparison(answer) {
  left.show(answer.left);
  right.show(answer.right);
  const kind = answer.same ? "alike" : "apart";
  byId("verdict").textContent = answer.same ? "The same person" : "Different people";
  byId("verdict").className = `verdict ${kind}`;
  const part = (name) => byId("scale").querySelector(name);
  part(".apart").style.width = percent(answer.threshold);
  part(".threshold").style.left = percent(answer.threshold);
  part(".threshold span").textContent = `threshold ${answer.threshold.toFixed(2)}`;
  part(".value").style.left = percent(answer.similarity);
  part(".value span").textContent = number(answer.similarity, 2);
  byId("numbers").textContent =
    `cosine similarity ${number(answer.similarity, 4)} · squared L2 ${answer.squared_l2.toFixed(4)}`;
  byId("compare-hint").hidden = true;
  byId("result").hidden = false;
}

document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((f) => f.type.startsWith("image/"));
  if (!file) return;
  if (byId("compare").hidden) probe.take(file);
  else (left.file && !right.file ? right : left).take(file);
});

// --- enrol and search

const probe = new PhotoPlace(byId("probe"), search);

async function search(file) {
  say("search-message", "");
  byId("matches").replaceChildren();
  probe.busy(true);
  try {
    const answer = await post("/search?crop=true", [["image", file]]);
    if (probe.file !== file) return;
    probe.show(answer);
    byId("matches").replaceChildren(...answer.matches.map((m) => match(m, answer.threshold)));
    if (!answer.matches.length) say("search-message", "Nobody is enrolled yet.");
  } catch (error) {
    if (probe.file === file) say("search-message", error.message);
  } finally {
    if (probe.file === file) probe.busy(false);
  }
}

function match({ name, similarity, same }, threshold) {
  const row = element("li");
  const bar = element("span", "", same ? "bar alike" : "bar");
  const [length, limit] = [element("i"), element("u")];
  length.style.width = percent(similarity);
  limit.style.left = percent(threshold);
  bar.append(length, limit);
  const kind = same ? "alike" : "apart";
  row.append(element("span", name), element("b", number(similarity, 2), kind), bar);
  return row;
}

byId("enrol").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  const photos = [...byId("photos").files].map((file) => ["image", file]);
  say("enrol-message", "");
  button.disabled = true;
  try {
    const person = await post("/enroll", [["name", byId("name").value], ...photos]);
    say("enrol-message", `${person.name} is enrolled with ${photoCount(person.photos)}.`, true);
    event.target.reset();
    await listPeople();
  } catch (error) {
    say("enrol-message", error.message);
  } finally {
    button.disabled = false;
  }
});

const photoCount = (count) => (count === 1 ? "1 photo" : `${count} photos`);

async function listPeople() {
  const people = await ask("/people");
  byId("count").textContent = people.length || "";
  byId("nobody").hidden = people.length > 0;
  byId("list").replaceChildren(...people.map(({ name, photos }) => {
    const row = element("li");
    const label = element("span", `${name} `);
    label.append(element("span", photoCount(photos), "quiet"));
    const button = element("button", "Forget");
    button.setAttribute("aria-label", `Forget ${name}`);
    button.addEventListener("click", () => forget(name));
    row.append(label, button);
    return row;
  }));
}

async function forget(name) {
  if (!confirm(`Forget ${name} and all photos of ${name}?`)) return;
  try {
    await ask(`/people/${encodeURIComponent(name)}`, { method: "DELETE" });
    say("enrol-message", `${name} is forgotten.`, true);
    await listPeople();
  } catch (error) {
    say("enrol-message", error.message);
  }
}

// --- tabs and the line below the title

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs) {
  tab.addEventListener("click", () => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      byId(other.getAttribute("aria-controls")).hidden = other !== tab;
    }
    if (tab.id === "tab-people") listPeople().catch((error) => say("enrol-message", error.message));
  });
}

// A photo dropped beside a place must not replace the page.
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => event.preventDefault());
}

ask("/health").then(
  ({ model, threshold }) => {
    byId("facts").textContent = `Network ${model} · one person from a similarity of ${threshold.toFixed(2)}`;
  },
  (error) => say("compare-message", error.message),
);
