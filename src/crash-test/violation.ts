/** What the crash test throws when the engine has broken a promise. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
