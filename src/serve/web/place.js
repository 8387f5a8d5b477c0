// A place for one photo, with what was found in it.  Text of others only becomes textContent.

import { openCamera } from "./camera.js";

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
let places = 0;

export class PhotoPlace {
  // name: for people who do not see it; onPhoto(place): a photo or a face of it was chosen
  constructor(root, name, onPhoto) {
    root.append(byId("photo-template").content.cloneNode(true));
    [this.root, this.name, this.onPhoto] = [root, name, onPhoto];
    this.drop = root.querySelector(".drop");
    this.input = root.querySelector("input");
    this.image = root.querySelector(".drop > img");
    this.marks = root.querySelector(".marks");
    this.found = root.querySelector(".found");
    this.faces = root.querySelector(".faces");
    this.message = root.querySelector(".message");
    this.file = null;
    this.face = -1; // of the photo's faces; -1: the large and central one
    places += 1;
    this.message.id = `place-message-${places}`;
    this.input.setAttribute("aria-describedby", this.message.id);
    this.tell();
    this.input.addEventListener("change", () => {
      if (this.input.files[0]) this.take(this.input.files[0]);
      this.input.value = ""; // the same file may be chosen again
    });
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
      });
    }
    const camera = root.querySelector(".camera");
    camera.hidden = !navigator.mediaDevices?.getUserMedia;
    camera.setAttribute("aria-label", `${name}: take it with the camera`);
    camera.addEventListener("click", async () => {
      try {
        const file = await openCamera();
        if (file) this.take(file);
      } catch (error) {
        this.say(error.message);
      }
    });
  }

  // The accessible name says what is in the place.
  tell(what = "") {
    const text = this.file ? `${this.name}: ${this.file.name}. ${what} Choose another` : `${this.name}: choose a photo`;
    this.input.setAttribute("aria-label", text.replace(/\s+/g, " "));
  }

  take(file) {
    [this.file, this.face] = [file, -1];
    URL.revokeObjectURL(this.image.src);
    this.image.src = URL.createObjectURL(file);
    this.image.alt = "";
    this.image.hidden = false;
    // No square with a torn picture: what it is is said in words.
    this.image.onerror = () => {
      this.image.hidden = true;
      this.root.querySelector(".invite").hidden = false;
      this.drop.classList.remove("filled");
    };
    this.root.querySelector(".invite").hidden = true;
    this.drop.classList.add("filled");
    this.clear();
    this.tell();
    this.onPhoto(this);
  }

  clear() {
    this.marks.toggleAttribute("hidden", true);
    this.found.hidden = true;
    this.faces.hidden = true;
    this.say("");
  }

  busy(is) {
    this.drop.classList.toggle("busy", is);
    this.root.setAttribute("aria-busy", String(is));
    if (is) this.say("Looking at the photo\u2026", true);
    else if (this.message.classList.contains("calm")) this.say("");
  }

  say(text, calm = false) {
    this.message.textContent = text;
    this.message.classList.toggle("calm", calm);
    this.message.classList.toggle("empty", !text);
  }

  // answer: a FaceAnswer of the service
  show(answer) {
    this.draw(answer, answer.taken);
    this.found.querySelector(".crop").src = answer.crop;
    this.found.querySelector(".crop").alt = `The face that was taken, aligned`;
    const quality = answer.faces[answer.taken].quality;
    const facts = [
      ["photo", `${answer.width}\u00d7${answer.height}`],
      ["faces", answer.num_faces],
      ["score", answer.score.toFixed(3)],
      ["eyes apart", `${Math.round(quality.eye_distance)} px`],
    ];
    this.found.querySelector("dl").replaceChildren(
      ...facts.flatMap(([term, text]) => [element("dt", term), element("dd", text)]),
    );
    this.found.hidden = false;
    this.tell(answer.num_faces === 1 ? "One face." : `${answer.num_faces} faces, face ${answer.taken + 1} taken.`);
  }

  // width, height and faces of an answer or a refusal; taken: -1 for none
  draw({ width, height, faces }, taken) {
    const shapes = faces.flatMap((face, number) => shapesOf(face, number === taken));
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.marks.replaceChildren(...shapes);
    this.marks.toggleAttribute("hidden", false);
    const buttons = faces.map((face, number) => {
      const button = element("button", `Face ${number + 1}`);
      button.type = "button";
      button.setAttribute("aria-pressed", String(number === taken));
      button.setAttribute("aria-label", `${this.name}: face ${number + 1} of ${faces.length}, score ${face.score.toFixed(2)}`);
      button.addEventListener("click", () => {
        this.face = number;
        this.onPhoto(this);
      });
      return button;
    });
    this.faces.replaceChildren(...(faces.length > 1 ? buttons : []));
    this.faces.hidden = faces.length < 2;
  }

  // error: a Refused whose answer may tell of the faces
  refuse(error) {
    this.say(error.message);
    if (error.answer?.faces && error.answer.width) this.draw(error.answer, -1);
  }
}

function shapesOf(face, isTaken) {
  const [x1, y1, x2, y2] = face.box;
  const radius = Math.max(x2 - x1, y2 - y1) * 0.025;
  const rect = shape("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, rx: 2 * radius });
  if (!isTaken) {
    rect.setAttribute("class", "other");
    return [rect];
  }
  return [rect, ...face.landmarks.map(([cx, cy]) => shape("circle", { cx, cy, r: radius }))];
}

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function element(tag, text = "", className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}
