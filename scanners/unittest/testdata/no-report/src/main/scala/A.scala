class A { public static void main(String[] a) { System.out.println("enough to be worth testing, is it not?"); } }
