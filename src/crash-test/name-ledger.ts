/**
 * Which channel each name may lead to.
 *
 * A store is a map from names to channels. Answers that are not there yet, or that leave it open
 * what happened, leave several maps possible; each later answer rules some of them out. Commands on
 * one name take effect in the order of their calls, those on different names in any: applying them
 * in the order of the calls covers both.
 */
import { Violation } from './violation.js';

/** Names and the places of their channels in the list of creations. */
export type Names = ReadonlyMap<string, number>;

/** What the store said of a command. */
export type Answer =
  /** Nothing yet. */
  | { readonly kind: 'open' }
  /** It failed, and nobody can say what a crash would leave. */
  | { readonly kind: 'unclear' }
  /** It is done, and the disk has it. */
  | { readonly kind: 'done' }
  /** Nothing has changed, for a reason that says nothing of names. */
  | { readonly kind: 'refused' }
  /** There is no channel of this name. */
  | { readonly kind: 'missing' }
  /** There is a channel of the new name. */
  | { readonly kind: 'taken' }
  /** The name led to this channel. */
  | { readonly kind: 'found'; readonly channel: number };

/** What a commit does to one name. */
export interface NamePart {
  readonly does: 'append' | 'create' | 'delete';
  readonly name: string;
  /** Of an append: where the name leads; of a creation: what it would make. */
  readonly channel: number;
}

export interface NameOperation {
  readonly kind: 'create' | 'look' | 'delete' | 'rename' | 'commit';
  readonly name: string;
  /** The new name of a rename. */
  readonly to: string;
  /** What a creation would make. */
  readonly channel: number;
  /** Of a commit. */
  readonly parts: readonly NamePart[];
  /** Nothing else was under way that concerns its names. */
  readonly alone: boolean;
  answer: Answer;
}

export class NameLedger {
  #base: readonly Names[] = [new Map()];
  #operations: NameOperation[] = [];

  begin(
    kind: Exclude<NameOperation['kind'], 'commit'>,
    name: string,
    to: string = name,
    channel: number = -1,
  ): NameOperation {
    return this.#begin({ kind, name, to, channel, parts: [] });
  }

  beginCommit(parts: readonly NamePart[]): NameOperation {
    const name = parts.map((part) => part.name).join();
    return this.#begin({ kind: 'commit', name, to: name, channel: -1, parts });
  }

  #begin(asked: Omit<NameOperation, 'alone' | 'answer'>): NameOperation {
    const concerned = new Set(namesIn(asked));
    const alone = !this.#operations.some(
      (other) => other.answer.kind === 'open' && namesIn(other).some((name) => concerned.has(name)),
    );
    const operation: NameOperation = { ...asked, alone, answer: { kind: 'open' } };
    this.#operations.push(operation);
    return operation;
  }

  /** Every map of names that fits all answers. Throws a Violation when none does. */
  possible(): readonly Names[] {
    this.#foldAnswered();
    const possible = this.#operations.reduce(after, this.#base);
    if (possible.length > 0) return possible;
    const told = this.#operations.map(({ kind, name, to, answer }) => {
      return `${kind} ${name} ${to === name ? '' : to} ${JSON.stringify(answer)}`;
    });
    throw new Violation(`no store could have answered so: ${told.join('; ')}`);
  }

  #foldAnswered(): void {
    while (this.#operations[0] !== undefined && this.#operations[0].answer.kind !== 'open') {
      const base = after(this.#base, this.#operations[0]);
      // Left in place for the message.
      if (base.length === 0) return;
      this.#base = base;
      this.#operations.shift();
    }
  }

  /** A new process has seen this, and its open has made it durable. */
  rebase(names: Names): void {
    this.#base = [names];
    this.#operations = [];
  }
}

function namesIn({ kind, name, to, parts }: Omit<NameOperation, 'alone' | 'answer'>): string[] {
  return kind === 'commit' ? parts.map((part) => part.name) : [name, to];
}

export function namesKey(names: Names): string {
  return JSON.stringify([...names].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** What may be after an operation where one of `before` was. */
function after(before: readonly Names[], operation: NameOperation): readonly Names[] {
  const [only] = before;
  if (before.length === 1 && only !== undefined) {
    const next = outcomes(only, operation);
    if (next.length < 2) return next;
  }
  const result = new Map<string, Names>();
  for (const names of before) {
    for (const next of outcomes(names, operation)) result.set(namesKey(next), next);
  }
  return [...result.values()];
}

function outcomes(names: Names, operation: NameOperation): readonly Names[] {
  const { name, to, answer, alone } = operation;
  switch (answer.kind) {
    case 'open':
    case 'unclear': {
      const changed = effect(names, operation);
      return changed === undefined || changed === names ? [names] : [names, changed];
    }
    case 'done': {
      const changed = effect(names, operation);
      return changed === undefined ? [] : [changed];
    }
    case 'refused':
      return [names];
    case 'missing':
      return isMissing(names, operation) ? [names] : [];
    case 'taken':
      return names.has(to) ? [names] : [];
    case 'found':
      break;
  }
  // A channel that is open is handed out at once, before what is queued on its name.
  return !alone || names.get(name) === answer.channel ? [names] : [];
}

/** Whether a name that has to be there is not. */
function isMissing(names: Names, { kind, name, parts }: NameOperation): boolean {
  if (kind !== 'commit') return !names.has(name);
  return parts.some((part) => part.does !== 'create' && !names.has(part.name));
}

/** The names after a command; undefined when it is not possible. */
function effect(
  names: Names,
  { kind, name, to, channel, parts }: NameOperation,
): Names | undefined {
  if (kind === 'look') return names;
  if (kind === 'commit') return effectOf(names, parts);
  const present = names.get(name);
  if (kind === 'create') {
    return present === undefined ? new Map(names).set(name, channel) : undefined;
  }
  if (present === undefined) return undefined;
  const changed = new Map(names);
  if (kind === 'delete') {
    changed.delete(name);
    return changed;
  }
  if (name === to) return names;
  if (names.has(to)) return undefined;
  changed.delete(name);
  return changed.set(to, present);
}

/** Those of a commit: all of it, or undefined. */
function effectOf(names: Names, parts: readonly NamePart[]): Names | undefined {
  const changed = new Map(names);
  for (const { does, name, channel } of parts) {
    const present = changed.get(name);
    if (does === 'append' ? present !== channel : (present === undefined) !== (does === 'create')) {
      return undefined;
    }
    if (does === 'create') changed.set(name, channel);
    else if (does === 'delete') changed.delete(name);
  }
  return parts.every(({ does }) => does === 'append') ? names : changed;
}
