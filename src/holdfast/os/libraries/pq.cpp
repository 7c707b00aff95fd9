#include "holdfast/os/lazy_library.hpp"

HF_LAZY(PQcancel);
HF_LAZY(PQclear);
HF_LAZY(PQconnectdbParams);
HF_LAZY(PQconnectionNeedsPassword);
HF_LAZY(PQconsumeInput);
HF_LAZY(PQerrorMessage);
HF_LAZY(PQfinish);
HF_LAZY(PQfreeCancel);
HF_LAZY(PQgetCancel);
HF_LAZY(PQgetResult);
HF_LAZY(PQgetisnull);
HF_LAZY(PQgetlength);
HF_LAZY(PQgetvalue);
HF_LAZY(PQisBusy);
HF_LAZY(PQnfields);
HF_LAZY(PQntuples);
HF_LAZY(PQping);
HF_LAZY(PQresultErrorField);
HF_LAZY(PQresultErrorMessage);
HF_LAZY(PQresultStatus);
HF_LAZY(PQsendQuery);
HF_LAZY(PQsendQueryParams);
HF_LAZY(PQserverVersion);
HF_LAZY(PQsetNoticeReceiver);
HF_LAZY(PQsocket);
HF_LAZY(PQstatus);
