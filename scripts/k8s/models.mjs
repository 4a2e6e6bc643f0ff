// Validates objects of operators (KEDA, Prometheus) with models that are made from the operators' own definitions. Reads a list of
// {of, object} from standard input, prints what is wrong, one line each, and ends with 1 if anything is.
//
// The models' validators pass over members that they do not know, which are most mistakes; their type declarations name those that exist.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const models = resolve(process.argv[2]);
const PACKAGES = { 'keda.sh': 'keda', 'monitoring.coreos.com': 'prometheus-operator' };
const wrong = [];

const of = (group) => join(models, 'node_modules/@kubernetes-models', PACKAGES[group], group);

/** The members of the type that a declaration file declares, each with the file of its own type, if that is another of the package. */
function members(file) {
  const text = readFileSync(file, 'utf8');
  const files = {};
  for (const [, name, path] of text.matchAll(/import \{ (\w+) \} from "(\.[^"]+)\.js";/g)) files[name] = join(dirname(file), path + '.d.ts');
  // The class has what its interface inherits, too. Types without one are texts and the like.
  const at = text.indexOf('export declare class');
  if (at < 0) return null;
  const body = text.slice(at);
  const found = {};
  // Members of members that are declared in place are indented deeper, and not looked at.
  for (const [, name, type] of body.matchAll(/^ {4}"([^"]+)"\??: (.*)$/gm)) {
    const [, reference] = type.match(/^(?:Array<)?(\w+)>?;?$/) ?? [];
    found[name] = files[reference] ?? null;
  }
  return found;
}

function unknown(value, file, path, report) {
  if (Array.isArray(value)) return value.forEach((one, at) => unknown(one, file, `${path}/${at}`, report));
  if (value === null || typeof value !== 'object') return;
  const known = members(file);
  if (known === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!(name in known)) report(`${path}/${name}: there is no such member`);
    else if (known[name]) unknown(member, known[name], `${path}/${name}`, report);
  }
}

for (const { of: from, object } of JSON.parse(readFileSync(0, 'utf8'))) {
  const [group, version] = object.apiVersion.split('/');
  const report = (what) => wrong.push(`${from}: ${object.kind} ${object.metadata.name}: ${what}`);
  try {
    const module = await import(pathToFileURL(join(of(group), version, 'index.js')).href);
    new module[object.kind](object).validate();
  } catch (error) {
    report(error.message);
  }
  unknown(object.spec, join(of(group), version, `${object.kind}Spec.d.ts`), 'spec', report);
}
for (const line of wrong) console.log(line);
process.exitCode = wrong.length > 0 ? 1 : 0;
