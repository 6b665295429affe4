/** What the document uses of Next.js: the cookies that the visitor shows. */

export const shown = new Map<string, { value: string }>();

export async function cookies(): Promise<{ get(name: string): { value: string } | undefined }> {
  return shown;
}
