// The page of the face service: everything it shows comes from the routes of routes.py.

import { ask, post } from "./ask.js";
import { listPeople, probe, say } from "./people.js";
import { PhotoPlace } from "./place.js";
import { number, percent } from "./scale.js";
import { makeTabs } from "./tabs.js";

const byId = (id) => document.getElementById(id);

let comparison = 0; // an answer that comes after newer photos is left aside
const left = new PhotoPlace(byId("left"), "First photo", compare);
const right = new PhotoPlace(byId("right"), "Second photo", compare);

async function compare() {
  byId("result").hidden = true;
  if (!left.file || !right.file) return;
  comparison += 1;
  const mine = comparison;
  const both = [left, right];
  for (const place of both) { place.say(""); place.busy(true); }
  const busy = (text) => { if (mine === comparison) for (const place of both) place.say(text, true); };
  try {
    const path = `/v1/compare?crop=true&left_face=${left.face}&right_face=${right.face}`;
    const answer = await post(path, [["left", left.file], ["right", right.file]], busy);
    if (mine !== comparison) return;
    for (const place of both) place.busy(false);
    showComparison(answer);
  } catch (error) {
    if (mine !== comparison) return;
    for (const place of both) place.busy(false);
    tell(error);
  }
}

// An error is told at the photo that is meant; one that means none, at the first.
function tell(error) {
  const places = { left, right };
  const meant = places[error.answer?.photo?.field] ?? left;
  meant.refuse(error);
  for (const fault of error.answer?.faults ?? []) {
    places[fault.photo?.field]?.say(`${fault.detail}.`);
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
    `cosine similarity ${number(answer.similarity, 4)} \u00b7 squared L2 ${answer.squared_l2.toFixed(4)}`;
  byId("compare-hint").hidden = true;
  byId("result").hidden = false;
}

document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((f) => f.type.startsWith("image/"));
  if (!file) return;
  if (byId("compare").hidden) probe.take(file);
  else (left.file && !right.file ? right : left).take(file);
});

makeTabs([...document.querySelectorAll("[role=tab]")], (tab) => {
  if (tab.id === "tab-people") listPeople().catch((error) => say("enrol-message", error.message));
});

// A photo dropped beside a place must not replace the page.
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => event.preventDefault());
}

ask("/v1/health").then(
  ({ model, threshold }) => {
    byId("facts").textContent = `Network ${model} \u00b7 one person from a similarity of ${threshold.toFixed(2)}`;
  },
  (error) => { byId("facts").textContent = error.message; },
);
