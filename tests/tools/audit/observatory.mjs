// Mozilla's observatory on a site whose ports are its own. The tool's own command knows 80 and 443 only.
//
//     node observatory.mjs FOLDER HOST HTTPS_PORT HTTP_PORT PATH
//
// FOLDER is where npm has put it. Writes one JSON: the grade, the score, and what each rule said.

import { pathToFileURL } from "node:url";

const [folder, host, httpsPort, httpPort, path] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${folder}/node_modules/@mdn/mdn-http-observatory/src/${name}.js`));
const { retrieve } = await part("retriever/retriever");
const { ALL_TESTS } = await part("constants");
const { getGradeForScore, getScoreModifier } = await part("grader/grader");
const { MINIMUM_SCORE_FOR_EXTRA_CREDIT } = await part("grader/charts");

const site = await retrieve(host, { httpsPort, httpPort, path });
if (!site.responses.auto) throw new Error("it cannot reach the site");
const rules = ALL_TESTS.map((rule) => rule(site)).filter(({ result }) => result);
let score = 100;
let extra = 0;
const said = {};
for (const rule of rules) {
  const worth = getScoreModifier(rule.result);
  if (worth < 0) score += worth;
  else extra += worth;
  said[rule.constructor.name] = { result: rule.result, pass: rule.pass, worth };
}
// As the observatory does it: what is beyond its wishes counts only for who has met them.
const final = getGradeForScore(score >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? score + extra : score);
console.log(JSON.stringify({ status: site.responses.auto.status, grade: final.grade, score: final.score, rules: said }));
