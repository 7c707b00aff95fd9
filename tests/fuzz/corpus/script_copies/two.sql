SET x = 1;
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: o
--

COPY public.t (b, "A b", a) FROM stdin;
x\t1\t2
COPY public.t (q) FROM stdin;
\.

-- Name: f; Type: FUNCTION
COPY public.t (q) FROM stdin;
-- Data for Name: A b; Type: TABLE DATA
COPY public."A b" (c) FROM stdin;
\.
