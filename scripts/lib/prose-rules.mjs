// The rules of `npm run prose`: wording that reads as translated English, and words that the glossary replaced.

/**
 * @typedef {object} Rule
 * @property {string} id printed after each finding
 * @property {RegExp} pattern matched against a paragraph, in which each code span is replaced by one placeholder
 * @property {string} advice what to write instead
 * @property {boolean} [docComments] true if the rule applies only to doc comments
 */

/** Nouns and pronouns that make "where" a condition if they follow it at the beginning of a sentence. */
const SUBJECT =
  "(?:it|they|there|nobody|nothing|none|no|somebody|one|this|that|what|a|an|the|its|your|their)";

/**
 * Makes a rule for a word that the glossary replaced.
 * @param {string} id
 * @param {string} pattern
 * @param {string} advice
 * @returns {Rule}
 */
const retired = (id, pattern, advice) => ({ id, pattern: new RegExp(`\\b(?:${pattern})\\b`, "gi"), advice });

/** @type {Rule[]} */
export const rules = [
  {
    id: "vague-subject",
    pattern: /\b(?:who(?:so)?ever|whomever|nobody|somebody|anybody|everybody)\b/gi,
    advice: "name the subject: the client, the server, a user, a member, you",
  },
  {
    id: "told",
    pattern: /\b(?:un)?told\b|\b(?:tell|tells|telling)\s+of\b/gi,
    advice: 'say who does what: "receives", "is sent", "is notified of", "reports"',
  },
  {
    id: "of-which",
    pattern:
      /(?<!\b(?:all|any|both|each|either|few|half|many|most|much|neither|none|one|several|some|two|three|four|\d+)\s+)\bof\s+which\b/gi,
    advice: 'write "whose", or begin a new sentence',
  },
  {
    id: "is-none",
    pattern: /(?<!\bthere\s+)\b(?:is|are|was|were)\s+none\b/gi,
    advice: 'say what is wrong: "is not a room name", "is missing", "is invalid"',
  },
  {
    id: "where-for-if",
    pattern: new RegExp(
      [
        // "Where it is set, …" begins a sentence.
        `(?<=^|[.;:|]\\s+|\\(\\s*)Where\\s+${SUBJECT}\\b[^.;?]*,`,
        "\\b(?:also|even|only|except|but|unless)\\s+where\\s+(?:it|they|there|nobody|nothing|somebody|one)\\b",
        "\\bwhere\\s+(?:nobody|nothing|none|somebody|no\\s+one)\\b",
        "\\bwhere\\s+there\\s+(?:is|are|was|were)\\b",
        "\\b(?:[Ff]ails|throws|nothing|[Rr]ejects),?\\s+where\\b",
        "\\bwhere\\s+(?:it|they|one)\\s+(?:is|are|was|were)\\s+(?:there|none|not|missing|possible|needed|wanted)\\b",
        "\\bwhere\\s+(?:it|they|one)\\s+(?:cannot|can't|may\\s+not|does\\s+not|doesn't|do\\s+not|don't|has\\s+no|have\\s+no)\\b",
      ].join("|"),
      // Only the first alternative depends on the case of its first letter.
      "gm",
    ),
    advice: 'write "if" for a condition and "when" for a time; "where" is for a place',
  },
  {
    id: "takes-word",
    pattern: /\b(?:take|takes|taking|took)(?:\s+\S+){1,4}?\s+word\b(?!\s+(?:list|count|boundar))/gi,
    advice: 'write "trusts", "accepts" or "relies on"',
  },
  {
    id: "doc-start",
    pattern: /^\s*(?:What|Whether|Who|Whose|Whom|How|When|Where|Which|Why)\b/g,
    advice: 'begin with a verb ("Returns…", "Reads…") or a noun ("The room\'s name."); booleans: "True if…"',
    docComments: true,
  },
  retired("door", "(?<!next\\s)doors?", 'write "admission", or name the check'),
  retired("knock", "knock(?:s|ed|ing)?", 'write "join request"'),
  retired(
    "judge",
    "judg(?:e|es|ed|ing|ement|ements|ment|ments)|courts?|verdicts?",
    'write "publish hook", "decide", "decision"',
  ),
  retired(
    "party",
    "(?<!third[\\s-])part(?:y|ies)(?=\\b(?!\\s+(?:server|kit)))",
    "name it: a client, a pending message",
  ),
  retired("asker", "askers?", 'write "requester" or "caller"'),
  retired("wanted", "wanted", 'write "requested", "needed" or "expected"'),
  retired("mint", "(?:the|a|its)\\s+mint", 'write "development token issuer"'),
  retired("visitor", "visitors?", 'write "user", "client" or "browser"'),
  retired("denial", "denials?(?!\\s+of\\s+service)", 'write "refusal"'),
  retired("mend", "mend(?:s|ed|ing)?", 'write "fix"'),
];
