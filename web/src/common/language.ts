// English and Simplified Chinese, by the browser's setting.

export type Language = "en" | "zh";

/** The first of the visitor's languages that we speak. */
export const language: Language = navigator.languages
  .map((tag) => tag.toLowerCase())
  .find((tag) => tag.startsWith("zh") || tag.startsWith("en"))
  ?.startsWith("zh")
  ? "zh"
  : "en";

document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";

/** A page's words: the same in each language, or the compiler says which is missing. */
export const inLanguage = <Words>(words: { en: Words; zh: NoInfer<Words> }): Words => words[language];

const times = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat(document.documentElement.lang, {
  weekday: "long",
  day: "numeric",
  month: "long",
});

export const timeOf = (ms: number) => times.format(ms);
export const dayOf = (ms: number) => days.format(ms);
