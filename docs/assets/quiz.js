// Quizzes. The first option that a reader opens is their answer; it is kept on this device only, in localStorage.
// Without JavaScript the options are boxes that open, and each says of itself whether it is right.
const saved = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // a browser may keep nothing for us
    }
  },
  set(key, answer) {
    try {
      if (answer === null) localStorage.removeItem(key);
      else localStorage.setItem(key, answer);
    } catch {
      // then the answer lasts as long as the page
    }
  },
};

const setUpQuiz = (quiz) => {
  const question = quiz.querySelector(":scope > .admonition-title").textContent;
  const key = `quiz ${location.pathname} ${question}`;
  const options = [...quiz.querySelectorAll(":scope > details")];
  const verdict = document.createElement("p");
  const said = document.createElement("span");
  const again = document.createElement("button");
  verdict.className = "quiz-verdict";
  said.setAttribute("role", "status"); // read out when it changes
  again.type = "button";
  again.textContent = "Forget my answer";
  again.hidden = true;
  verdict.append(said, again);
  quiz.append(verdict);
  quiz.classList.add("quiz-live");

  const show = (chosen) => {
    for (const option of options) option.classList.toggle("quiz-chosen", option === chosen);
    quiz.classList.toggle("quiz-answered", Boolean(chosen));
    again.hidden = !chosen;
    said.textContent = !chosen
      ? ""
      : chosen.classList.contains("right")
        ? "Your answer is right."
        : "Your answer is not right. Open the others to see which one is.";
  };
  const find = (text) => options.find((option) => option.querySelector("summary").textContent === text);

  const before = find(saved.get(key));
  if (before) before.open = true;
  show(before);
  for (const option of options) {
    option.addEventListener("toggle", () => {
      if (!option.open || quiz.classList.contains("quiz-answered")) return;
      saved.set(key, option.querySelector("summary").textContent);
      show(option);
    });
  }
  again.addEventListener("click", () => {
    saved.set(key, null);
    for (const option of options) option.open = false;
    show(null);
    options[0].querySelector("summary").focus();
  });
};

const setUpQuizzes = () => document.querySelectorAll(".quiz:not(.quiz-live)").forEach(setUpQuiz);
// The theme changes pages without loading them anew, and says so by document$.
if (window.document$) window.document$.subscribe(setUpQuizzes);
else setUpQuizzes();
